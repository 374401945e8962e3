"""The message bus: one connection to its broker."""

from __future__ import annotations

import logging
import socket
import ssl
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from dkist_airflow_node.messages.message import MessageError
from dkist_airflow_node.messages.settings import BusSettings, BusSettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

EXCHANGE = "master.direct.x"
ROUTING_KEY = "recipe.run.failure.m"
QUEUE = "recipe.run.failure.q"
NOT_FOUND = 404


class BusUnreachableError(MessageError, ConnectionError):
    """There is no connection, or no answer on it: the next attempt would take as long."""


class NotAcceptedError(MessageError):
    """The broker answers, and does not take the message."""


class BusConnection:
    """One connection to the broker, and what may be done on it.

    pika's own timeouts are set, but do not cover every wait (name look-up, an answer that never comes): whoever needs a
    deadline runs this in a thread and leaves it (`dkist_airflow_node.messages.outbox`).

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
        import pika  # this module is imported by every DAG file's callback

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
        import pika

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
        from pika.exceptions import ChannelClosedByBroker

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
    from pika import exceptions

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
    except Exception as error:  # pika lets errors of sockets, of TLS and of its own parser through
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
