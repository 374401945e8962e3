"""The message bus: where its broker is, and one connection to it."""

from __future__ import annotations

import json
import logging
import math
import socket
import ssl
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from dkist_airflow_node.message import MessageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType

EXCHANGE = "master.direct.x"
ROUTING_KEY = "recipe.run.failure.m"
QUEUE = "recipe.run.failure.q"
DEADLINE_SECONDS = 3.0
"""Airflow kills a callback 5 s after SIGTERM; spooling and the interpreter want some of them."""

NOT_FOUND = 404


class BusSettingsError(MessageError, ValueError):
    """The environment does not say, or not rightly, where the broker is."""


class BusUnreachableError(MessageError, ConnectionError):
    """There is no connection, or no answer on it: the next attempt would take as long."""


class NotAcceptedError(MessageError):
    """The broker answers, and does not take the message."""


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


class BusConnection:
    """One connection to the broker, and what may be done on it.

    pika's own timeouts are set, but do not cover every wait (name look-up, an answer that never comes): whoever needs a
    deadline runs this in a thread and leaves it (`dkist_airflow_node.outbox`).

    Parameters
    ----------
    settings
        Where the broker is.
    seconds
        How long a step of connecting may take, and how long the broker may block the connection.
    """

    def __init__(self, settings: BusSettings, seconds: float) -> None:
        self._settings = settings
        self._seconds = seconds
        self._connection: Any = None
        self._channel: Any = None

    def __enter__(self) -> Self:
        """Return self; `open` connects."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close, if open."""
        if self._connection is not None:
            with quiet_pika(), suppress(Exception):  # it may be broken, and everything that matters is confirmed
                self._connection.close()

    @property
    def is_open(self) -> bool:
        """Whether `open` has done its work."""
        return self._channel is not None

    def open(self) -> None:
        """Connect and log in.

        Raises
        ------
        BusSettingsError
            The file of certificates cannot be used.
        BusUnreachableError
            Nobody listens, or nobody answers, or the login is refused.
        """
        import pika  # noqa: PLC0415  # this module is imported by every DAG file's callback

        settings = self._settings
        parameters = pika.ConnectionParameters(
            host=settings.host,
            port=settings.port,
            credentials=pika.PlainCredentials(settings.username, settings.password),
            ssl_options=_tls(settings, pika),
            socket_timeout=self._seconds,
            stack_timeout=self._seconds,
            blocked_connection_timeout=self._seconds / 2,  # in time to be told as what it is
            connection_attempts=1,
            client_properties={"connection_name": "dkist-airflow-node"},
        )
        with quiet_pika(), _faults(settings):
            self._connection = pika.BlockingConnection(parameters)
            self._open_channel()

    def ensure_exchange(self) -> str:
        """Make the exchange where there is none; one that exists is used as it is. Return what was found, in words."""
        return self._ensure(
            "exchange",
            look=lambda channel: channel.exchange_declare(EXCHANGE, passive=True),
            make=lambda channel: channel.exchange_declare(EXCHANGE, exchange_type="direct", durable=True),
        )

    def ensure_queue(self) -> str:
        """Make the queue where there is none; one that exists is used as it is. Return what was found, in words."""
        return self._ensure(
            "queue",
            look=lambda channel: channel.queue_declare(QUEUE, passive=True),
            make=lambda channel: channel.queue_declare(QUEUE, durable=True),
        )

    def ensure_route(self) -> str:
        """Bind the queue to the exchange. Return what was found, in words."""
        fault = self._try(lambda channel: channel.queue_bind(QUEUE, EXCHANGE, routing_key=ROUTING_KEY))
        # Somebody else may have bound it for us: the message itself will tell.
        return "bound" if fault is None else f"not bound by this user ({fault})"

    def publish(self, body: bytes) -> None:
        """Publish a message and wait for the broker's word that it is in a queue.

        Raises
        ------
        NotAcceptedError
            It was returned as unroutable, refused, or the broker closed the channel on it.
        BusUnreachableError
            The connection was lost or blocked.
        """
        import pika  # noqa: PLC0415

        properties = pika.BasicProperties(
            content_type="application/json", content_encoding="utf-8", delivery_mode=pika.DeliveryMode.Persistent
        )
        with quiet_pika(), _faults(self._settings):
            self._channel.basic_publish(EXCHANGE, ROUTING_KEY, body, properties, mandatory=True)

    def _ensure(self, kind: str, *, look: Any, make: Any) -> str:
        fault = self._try(look)
        if fault is None:
            return "exists"
        if fault.code == NOT_FOUND:
            fault = self._try(make)
            if fault is None:
                return "made"
        return f"{kind} could not be made by this user ({fault})"

    def _try(self, step: Any) -> _Refusal | None:
        """Do a step of preparation; a refusal, which closes the channel, is an answer and no error."""
        from pika.exceptions import ChannelClosedByBroker  # noqa: PLC0415

        with quiet_pika(), _faults(self._settings):
            try:
                step(self._channel)
            except ChannelClosedByBroker as refusal:
                self._open_channel()
                return _Refusal(refusal.reply_code, refusal.reply_text)
        return None

    def _open_channel(self) -> None:
        self._channel = self._connection.channel()
        self._channel.confirm_delivery()


@dataclass(frozen=True)
class _Refusal:
    code: int
    text: str

    def __str__(self) -> str:
        return f"{self.code} {self.text}"


def look_up(settings: BusSettings, seconds: float) -> str:
    """Open a TCP connection to the broker and close it. Return the address that answered.

    Raises
    ------
    BusUnreachableError
        The name is not known, or nobody answers.
    """
    try:
        with socket.create_connection((settings.host, settings.port), timeout=seconds) as connection:
            return str(connection.getpeername()[0])
    except (OSError, UnicodeError) as error:
        raise BusUnreachableError(f"broker {settings.address}: {describe(error)}") from None


def _tls(settings: BusSettings, pika: Any) -> Any:
    if settings.ca_file is None:
        return None
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
    except (OSError, ValueError) as error:  # an ssl.SSLError is an OSError
        raise BusSettingsError(
            f"DKIST_MESSAGE_CA_FILE names {settings.ca_file!r}, which is no readable file of certificates: {error}"
        ) from error
    return pika.SSLOptions(context, settings.host)


@contextmanager
def _faults(settings: BusSettings) -> Iterator[None]:
    """Turn what pika raises into this module's errors, unchained: neither text nor cause may hold a password."""
    from pika import exceptions  # noqa: PLC0415

    broker = f"broker {settings.address}"
    try:
        yield
    except exceptions.UnroutableError:
        raise NotAcceptedError(
            f"{broker}: no queue is bound to exchange {EXCHANGE!r} for routing key {ROUTING_KEY!r}"
        ) from None
    except exceptions.NackError:
        raise NotAcceptedError(f"{broker}: refused by a queue (nack), which may be full") from None
    except exceptions.AMQPChannelError as error:
        raise NotAcceptedError(f"{broker}: {describe(error)}") from None
    except exceptions.ConnectionBlockedTimeout:
        raise BusUnreachableError(f"{broker}: blocks publishers (an alarm for memory or disk space)") from None
    except (exceptions.ProbableAuthenticationError, exceptions.AuthenticationError):
        raise BusUnreachableError(
            f"{broker}: refuses the login of user {settings.username!r}; see ISB_USERNAME and ISB_PASSWORD"
        ) from None
    except Exception as error:  # noqa: BLE001  # pika lets errors of sockets, of TLS and of its own parser through
        raise BusUnreachableError(f"{broker}: {describe(error)}") from None


def describe(error: BaseException) -> str:
    """Return the innermost cause in words: pika nests, and some of its errors have no text."""
    inner = getattr(error, "exception", None) or next((arg for arg in error.args if isinstance(arg, Exception)), None)
    if isinstance(inner, BaseException):
        return describe(inner)
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


@contextmanager
def quiet_pika() -> Iterator[None]:
    """Keep pika's log out of Airflow's: two dozen lines and a traceback for a broker that is away."""
    log = logging.getLogger("pika")
    level = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        log.setLevel(level)
