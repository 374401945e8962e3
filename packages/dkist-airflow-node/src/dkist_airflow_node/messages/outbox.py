"""Publishing what waits in the spool, within a deadline that no broker, network or resolver can stretch."""

from __future__ import annotations

import hashlib
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dkist_airflow_node.errors import BusUnreachableError, MessageError, NotAcceptedError
from dkist_airflow_node.messages.bus import BusConnection
from dkist_airflow_node.messages.deadline import Watched
from dkist_airflow_node.messages.ledger import Ledger
from dkist_airflow_node.messages.message import FailureMessage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from dkist_airflow_node.messages.settings import BusSettings
    from dkist_airflow_node.messages.spool import Claim, Spool

PAUSE_SECONDS = 30
"""How long callbacks only spool after a failed connection."""

CLOSE_SECONDS = 0.5
"""How long a connection may take to close when everything is published."""


@dataclass(frozen=True)
class Settled:
    """A message that the broker has answered."""

    message: Path | bytes
    """Its file in the spool; its body if it was not spooled."""

    refusal: NotAcceptedError | None = None
    """Why the broker will never accept it; None if it is published."""


@dataclass(frozen=True)
class Delivery:
    """The result of an attempt to publish."""

    settled: tuple[Settled, ...]
    """The messages that the broker has answered, in their order."""

    fault: MessageError | None
    """Why others were not published."""

    @property
    def published(self) -> int:
        """How many messages are published."""
        return sum(settled.refusal is None for settled in self.settled)

    @property
    def refusals(self) -> dict[Path | bytes, NotAcceptedError]:
        """The messages that the broker will never accept."""
        return {settled.message: settled.refusal for settled in self.settled if settled.refusal is not None}


class Pause:
    """The time after a failed connection in which callbacks do not connect.

    Parameters
    ----------
    folder : Path
        The spool: it holds a file for each address that did not answer.
    settings : BusSettings
        The broker.
    """

    def __init__(self, folder: Path, settings: BusSettings) -> None:
        digest = hashlib.sha256(settings.address.encode("utf-8", "backslashreplace")).hexdigest()[:16]
        self._marker = folder / f"{digest}.pause"

    def remaining_seconds(self) -> float:
        """Return how long the pause still lasts; 0 if there is none."""
        try:
            age = time.time() - self._marker.stat().st_mtime
        except OSError:
            return 0
        # A clock that was set back must not make the pause longer.
        return PAUSE_SECONDS - age if 0 <= age < PAUSE_SECONDS else 0

    def begin(self) -> None:
        """Start the pause: a connection has failed."""
        try:
            self._marker.touch(mode=0o600)
        except OSError:
            return  # without a spool nothing waits, so there is nothing to pause

    def end(self) -> None:
        """End the pause: a connection has succeeded."""
        self._marker.unlink(missing_ok=True)


def publish_waiting(
    settings: BusSettings,
    spool: Spool | None,
    *,
    seconds: float,
    total_seconds: float = math.inf,
    unspooled: Sequence[bytes] = (),
) -> Delivery:
    """Publish the messages that wait, oldest first, and delete each when the broker has confirmed it.

    A message that the broker will never accept is set aside, and the next one is published.

    Parameters
    ----------
    settings : BusSettings
        The broker.
    spool : Spool or None
        Where messages wait; None where there is no usable spool.
    seconds : float
        How long the broker may take for the first message, and then for each further one.
    total_seconds : float
        How long all of it may take.
    unspooled : Sequence[bytes]
        Messages that could not be spooled; they are published first.

    Returns
    -------
    Delivery
        What the broker answered, and why it did not answer more.
    """
    # Stop early enough: a long queue must not look like a broker that does not answer.
    stop = time.monotonic() + 0.8 * total_seconds
    publisher = _Publisher(settings, seconds=min(seconds, total_seconds))
    work = publisher.publish_all(spool, unspooled, stop=stop)
    watched = Watched(work, seconds=seconds, total_seconds=total_seconds)
    settled: list[Settled] = []
    fault: MessageError | None = None
    try:
        for answer in watched:
            if answer is None:
                break
            settled.append(answer)
    except MessageError as error:
        fault = error
    except TimeoutError:
        publisher.abandon()
        fault = BusUnreachableError(settings.address, f"no answer in time while {publisher.step}")
    else:
        watched.join(CLOSE_SECONDS)
    if spool is not None:
        _note_connection(Pause(spool.folder, settings), has_answered=bool(settled), fault=fault)
    return Delivery(settled=tuple(settled), fault=fault)


class _Publisher:
    """The work of the thread that may be abandoned."""

    def __init__(self, settings: BusSettings, *, seconds: float) -> None:
        self.step = "connecting"
        """What the thread is doing, in words."""
        self._settings, self._seconds = settings, seconds
        self._claim: Claim | None = None
        self._is_abandoned = False

    def abandon(self) -> None:
        """Let other processes publish the message that this thread hangs on."""
        self._is_abandoned = True
        if (claim := self._claim) is not None:
            claim.release()

    def publish_all(self, spool: Spool | None, unspooled: Sequence[bytes], *, stop: float) -> Iterator[Settled | None]:
        """Publish everything; yield what the broker answers, and None before disconnecting."""
        ledger = Ledger(spool.folder) if spool else None
        with BusConnection(self._settings, self._seconds) as bus:
            for body in unspooled:
                yield Settled(body, self._publish(bus, body, ledger))
            for claim in spool.claims() if spool else ():
                self._claim = claim
                refusal = self._publish(bus, claim.body, ledger)
                if refusal is None:
                    claim.remove()
                else:
                    claim.set_aside(refusal)
                self._claim = None
                yield Settled(claim.path, refusal)
                if time.monotonic() > stop:
                    break
            yield None

    def _publish(self, bus: BusConnection, body: bytes, ledger: Ledger | None) -> NotAcceptedError | None:
        """Publish a message and record that; return the refusal if another message may be accepted."""
        if not bus.is_open:
            bus.open()
            self.step = "preparing the exchange and the queue"
            bus.ensure_exchange()
            bus.ensure_queue()
            bus.ensure_route()
            self.step = "publishing"
        if self._is_abandoned:
            raise BusUnreachableError(self._settings.address, "too late: another process may be publishing the message")
        try:
            bus.publish(body)
        except NotAcceptedError as refusal:
            if not refusal.is_fault_of_message:
                raise
            return refusal
        if (
            ledger is not None
        ):  # before the file goes: a process killed in between publishes once more, with the same key
            ledger.add(FailureMessage.from_json(body).idempotency_key)
        return None


def _note_connection(pause: Pause, *, has_answered: bool, fault: MessageError | None) -> None:
    if isinstance(fault, BusUnreachableError):
        pause.begin()
    elif has_answered:
        pause.end()
