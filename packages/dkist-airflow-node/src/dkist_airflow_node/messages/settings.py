"""Where the broker of the message bus is, by the environment."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dkist_airflow_node.messages.message import MessageError

if TYPE_CHECKING:
    from collections.abc import Mapping

DEADLINE_SECONDS = 3.0
"""Airflow kills a callback 5 s after SIGTERM; spooling and the interpreter want some of them."""


class BusSettingsError(MessageError, ValueError):
    """The environment does not say, or not rightly, where the broker is."""


@dataclass(frozen=True)
class BusSettings:
    """Where the broker is, and how to log in."""

    host: str
    """Name or address."""

    port: int
    """TCP port."""

    username: str
    """User of the broker."""

    password: str = field(repr=False)
    """Its password."""

    ca_file: str | None = None
    """Certificates to trust; None for a connection without TLS."""

    @property
    def address(self) -> str:
        """Host and port, for words."""
        return f"{self.host}:{self.port}" + (" (TLS)" if self.ca_file else "")


def bus_settings(environment: Mapping[str, str]) -> BusSettings:
    """Return the settings that the environment has.

    Raises
    ------
    BusSettingsError
        Says which variable is at fault, and what it should be. Never has a value in it that could be secret.
    """
    host, port = "127.0.0.1", 5672
    if "MESH_CONFIG" in environment:
        host, port = _mesh_address(environment["MESH_CONFIG"])
    username, password = environment.get("ISB_USERNAME"), environment.get("ISB_PASSWORD")
    if (username is None) != (password is None):
        missing = "ISB_USERNAME" if username is None else "ISB_PASSWORD"
        raise BusSettingsError(f"{missing} is not set, and the other of ISB_USERNAME and ISB_PASSWORD is; set both")
    return BusSettings(
        host=host,
        port=port,
        username="guest" if username is None else username,
        password="guest" if password is None else password,  # RabbitMQ's own, for this host only
        ca_file=environment.get("DKIST_MESSAGE_CA_FILE") or None,
    )


def deadline_seconds(environment: Mapping[str, str]) -> float:
    """Return how long publishing may take.

    Raises
    ------
    BusSettingsError
        The variable is no number above 0.
    """
    text = environment.get("DKIST_MESSAGE_DEADLINE_SECONDS")
    if text is None:
        return DEADLINE_SECONDS
    with suppress(ValueError):
        seconds = float(text)
        if seconds > 0 and math.isfinite(seconds):
            return seconds
    raise BusSettingsError(f"DKIST_MESSAGE_DEADLINE_SECONDS must be a number of seconds above 0, not {text!r}")


def _mesh_address(text: str) -> tuple[str, int]:
    expected = 'expected {"interservice-bus": {"mesh_address": "<host>", "mesh_port": <port>}}'
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        where = f" at character {error.pos}" if isinstance(error, json.JSONDecodeError) else ""
        # Not chained: the cause holds the whole text, which may hold secrets of other services.
        raise BusSettingsError(f"MESH_CONFIG is not JSON{where}; {expected}") from None
    bus = config.get("interservice-bus") if isinstance(config, dict) else None
    if not isinstance(bus, dict):
        raise BusSettingsError(f"MESH_CONFIG has no object 'interservice-bus'; {expected}")
    host, port = bus.get("mesh_address"), bus.get("mesh_port")
    if not isinstance(host, str) or not host.strip():
        raise BusSettingsError(f"MESH_CONFIG: 'mesh_address' of 'interservice-bus' is no host name; {expected}")
    if isinstance(port, str) and port.isascii() and port.isdigit():
        port = int(port)
    if not isinstance(port, int) or isinstance(port, bool) or not 0 < port < 2**16:
        raise BusSettingsError(f"MESH_CONFIG: 'mesh_port' of 'interservice-bus' is no port from 1 to 65535; {expected}")
    return host.strip(), port
