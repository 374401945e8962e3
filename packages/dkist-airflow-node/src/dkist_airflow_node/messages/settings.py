"""The settings of the message bus, from the environment."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dkist_airflow_node.errors import BusSettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

DEADLINE_SECONDS = 3.0
"""Airflow kills a callback 5 s after SIGTERM; the spool and the interpreter need a part of them."""


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
    """The user's password."""

    ca_file: str | None = None
    """Certificates to trust; None for a connection without TLS."""

    @property
    def address(self) -> str:
        """Host and port, for messages."""
        return f"{self.host}:{self.port}" + (" (TLS)" if self.ca_file else "")


def bus_settings(environment: Mapping[str, str]) -> BusSettings:
    """Return the settings that an environment holds.

    Parameters
    ----------
    environment : Mapping[str, str]
        Environment variables.

    Returns
    -------
    BusSettings
        Those of the broker on this host where nothing is set.

    Raises
    ------
    BusSettingsError
        A variable is wrong. The error says which one, and what it should be; it holds no value that could be secret.
    """
    host, port = "127.0.0.1", 5672
    if "MESH_CONFIG" in environment:
        host, port = _mesh_address(environment["MESH_CONFIG"])
    username, password = environment.get("ISB_USERNAME"), environment.get("ISB_PASSWORD")
    if (username is None) != (password is None):
        missing, other = ("ISB_USERNAME", "ISB_PASSWORD") if username is None else ("ISB_PASSWORD", "ISB_USERNAME")
        raise BusSettingsError(missing, f"is not set, but {other} is; set both or none")
    ca_file = environment.get("DKIST_MESSAGE_CA_FILE")
    if ca_file == "":
        problem = "is empty; name a file of certificates (PEM), or unset the variable for a connection without TLS"
        raise BusSettingsError("DKIST_MESSAGE_CA_FILE", problem)
    return BusSettings(
        host=host,
        port=port,
        username="guest" if username is None else username,
        password="guest" if password is None else password,  # RabbitMQ's own, valid on the broker's host only
        ca_file=ca_file,
    )


def deadline_seconds(environment: Mapping[str, str]) -> float:
    """Return how long publishing may take.

    Parameters
    ----------
    environment : Mapping[str, str]
        Environment variables.

    Returns
    -------
    float
        Seconds, above 0.

    Raises
    ------
    BusSettingsError
        The variable does not hold a number above 0.
    """
    text = environment.get("DKIST_MESSAGE_DEADLINE_SECONDS")
    if text is None:
        return DEADLINE_SECONDS
    with suppress(ValueError):
        seconds = float(text)
        if seconds > 0 and math.isfinite(seconds):
            return seconds
    raise BusSettingsError("DKIST_MESSAGE_DEADLINE_SECONDS", f"must be a number of seconds above 0, not {text!r}")


def _mesh_address(text: str) -> tuple[str, int]:
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        where = f" at character {error.pos}" if isinstance(error, json.JSONDecodeError) else ""
        # Not chained: the cause holds the whole text, which may hold secrets of other services.
        raise _mesh_error(f"is not JSON{where}") from None
    bus = config.get("interservice-bus") if isinstance(config, dict) else None
    if not isinstance(bus, dict):
        raise _mesh_error("has no object 'interservice-bus'")
    host, port = bus.get("mesh_address"), bus.get("mesh_port")
    if not isinstance(host, str) or not host.strip():
        raise _mesh_error("has no host name in 'mesh_address' of 'interservice-bus'")
    if isinstance(port, str) and port.isascii() and port.isdigit():
        port = int(port)
    if not isinstance(port, int) or isinstance(port, bool) or not 0 < port < 2**16:
        raise _mesh_error("has no port from 1 to 65535 in 'mesh_port' of 'interservice-bus'")
    return host.strip(), port


def _mesh_error(problem: str) -> BusSettingsError:
    expected = '{"interservice-bus": {"mesh_address": "<host>", "mesh_port": <port>}}'
    return BusSettingsError("MESH_CONFIG", f"{problem}; expected {expected}")
