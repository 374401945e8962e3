"""The message bus: a connection to its broker."""

from __future__ import annotations

import logging
import socket
import ssl
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from dkist_airflow_node.errors import BusSettingsError, BusUnreachableError, NotAcceptedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from dkist_airflow_node.messages.settings import BusSettings

EXCHANGE = "master.direct.x"
ROUTING_KEY = "recipe.run.failure.m"
QUEUE = "recipe.run.failure.q"

NOT_FOUND = 404
"""AMQP: no such exchange or queue."""

PRECONDITION_FAILED = 406
"""AMQP: RabbitMQ's answer to a message that is longer than its ``max_message_size``."""


class BusConnection:
    """A connection to the broker.

    pika's own timeouts are set, but do not cover every wait (name look-up, an answer that never comes): a caller that
    needs a deadline runs this in a thread and abandons it (`dkist_airflow_node.messages.outbox`).

    Parameters
    ----------
    settings : BusSettings
        Where the broker is.
    seconds : float
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
            with quiet_pika(), suppress(Exception):  # it may be broken, and what matters is confirmed
                self._connection.close()

    @property
    def is_open(self) -> bool:
        """Whether `open` has succeeded."""
        return self._channel is not None

    def open(self) -> None:
        """Connect and log in.

        Raises
        ------
        BusSettingsError
            The file of certificates cannot be read.
        BusUnreachableError
            The broker is not there, does not answer, or refuses the login.
        """
        import pika  # every callback imports this module

        settings = self._settings
        parameters = pika.ConnectionParameters(
            host=settings.host,
            port=settings.port,
            credentials=pika.PlainCredentials(settings.username, settings.password),
            ssl_options=_tls(settings, pika),
            socket_timeout=self._seconds,
            stack_timeout=self._seconds,
            blocked_connection_timeout=self._seconds / 2,  # before the deadline, so that the error names the cause
            connection_attempts=1,
            client_properties={"connection_name": "dkist-airflow-node"},
        )
        with quiet_pika(), _faults(settings):
            self._connection = pika.BlockingConnection(parameters)
            self._open_channel()

    def ensure_exchange(self) -> str:
        """Create the exchange if it is missing, and use it as it is if it exists; return what was done, in words."""
        return self._ensure(
            "exchange",
            look=lambda channel: channel.exchange_declare(EXCHANGE, passive=True),
            create=lambda channel: channel.exchange_declare(EXCHANGE, exchange_type="direct", durable=True),
        )

    def ensure_queue(self) -> str:
        """Create the queue if it is missing, and use it as it is if it exists; return what was done, in words."""
        return self._ensure(
            "queue",
            look=lambda channel: channel.queue_declare(QUEUE, passive=True),
            create=lambda channel: channel.queue_declare(QUEUE, durable=True),
        )

    def ensure_route(self) -> str:
        """Bind the queue to the exchange; return what was done, in words."""
        refusal = self._try(lambda channel: channel.queue_bind(QUEUE, EXCHANGE, routing_key=ROUTING_KEY))
        # An administrator may have bound it: publishing will show.
        return "bound" if refusal is None else f"not bound by this user ({refusal})"

    def publish(self, body: bytes) -> None:
        """Publish a message and wait until the broker confirms that it is in a queue.

        Parameters
        ----------
        body : bytes
            The message.

        Raises
        ------
        NotAcceptedError
            The broker returned the message, refused it, or closed the channel because of it. Another message may be
            published afterwards.
        BusUnreachableError
            The connection was lost or blocked.
        """
        import pika
        from pika.exceptions import ChannelClosedByBroker

        properties = pika.BasicProperties(
            content_type="application/json", content_encoding="utf-8", delivery_mode=pika.DeliveryMode.Persistent
        )
        with quiet_pika(), _faults(self._settings):
            try:
                self._channel.basic_publish(EXCHANGE, ROUTING_KEY, body, properties, mandatory=True)
            except ChannelClosedByBroker:
                self._open_channel()
                raise

    def _ensure(self, kind: str, *, look: Any, create: Any) -> str:
        refusal = self._try(look)
        if refusal is None:
            return "exists"
        if refusal.code == NOT_FOUND:
            refusal = self._try(create)
            if refusal is None:
                return "created"
        return f"{kind} cannot be created by this user ({refusal})"

    def _try(self, step: Any) -> _Refusal | None:
        """Run a step of preparation and return the broker's refusal, or None; a refusal closes the channel."""
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


def answering_address(settings: BusSettings, seconds: float) -> str:
    """Open a TCP connection to the broker, close it, and return the address that answered.

    Parameters
    ----------
    settings : BusSettings
        Where the broker is.
    seconds : float
        How long it may take.

    Returns
    -------
    str
        An IP address.

    Raises
    ------
    BusUnreachableError
        The name is not known, or the broker does not answer.
    """
    try:
        with socket.create_connection((settings.host, settings.port), timeout=seconds) as connection:
            return str(connection.getpeername()[0])
    except (OSError, UnicodeError) as error:
        raise BusUnreachableError(settings.address, describe(error)) from None


def _tls(settings: BusSettings, pika: Any) -> Any:
    if settings.ca_file is None:
        return None
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
    except (OSError, ValueError) as error:  # an ssl.SSLError is an OSError
        problem = f"names {settings.ca_file!r}, which cannot be read as a file of certificates (PEM): {error}"
        raise BusSettingsError("DKIST_MESSAGE_CA_FILE", problem) from error
    return pika.SSLOptions(context, settings.host)


@contextmanager
def _faults(settings: BusSettings) -> Iterator[None]:
    """Raise our errors in place of pika's, unchained: neither text nor cause may hold a password."""
    from pika import exceptions

    broker = settings.address
    try:
        yield
    except exceptions.UnroutableError:
        cause = f"no queue is bound to exchange {EXCHANGE!r} for routing key {ROUTING_KEY!r}"
        raise NotAcceptedError(broker, cause) from None
    except exceptions.NackError:
        raise NotAcceptedError(broker, "refused by a queue (nack), which may be full") from None
    except exceptions.ChannelClosedByBroker as error:
        is_fault_of_message = error.reply_code == PRECONDITION_FAILED
        raise NotAcceptedError(broker, describe(error), is_fault_of_message=is_fault_of_message) from None
    except exceptions.AMQPChannelError as error:
        raise NotAcceptedError(broker, describe(error)) from None
    except exceptions.ConnectionBlockedTimeout:
        raise BusUnreachableError(broker, "blocks publishers (an alarm for memory or disk space)") from None
    except (exceptions.ProbableAuthenticationError, exceptions.AuthenticationError):
        cause = f"refuses the login of user {settings.username!r}; check ISB_USERNAME and ISB_PASSWORD"
        raise BusUnreachableError(broker, cause) from None
    except Exception as error:  # pika lets errors of sockets, of TLS and of its own parser through
        raise BusUnreachableError(broker, describe(error)) from None


def describe(error: BaseException) -> str:
    """Return the innermost cause in words: pika nests its errors, and some have no text."""
    inner = getattr(error, "exception", None) or next((arg for arg in error.args if isinstance(arg, Exception)), None)
    if isinstance(inner, BaseException):
        return describe(inner)
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


@contextmanager
def quiet_pika() -> Iterator[None]:
    """Keep pika out of Airflow's log: for a broker that is away it writes two dozen lines and a traceback."""
    log = logging.getLogger("pika")
    level = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        log.setLevel(level)
