"""Sending what waits in the spool, within a deadline that no broker, network or resolver can stretch."""

from __future__ import annotations

import hashlib
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dkist_airflow_node.messages.bus import BusConnection, BusUnreachableError
from dkist_airflow_node.messages.deadline import Watched
from dkist_airflow_node.messages.message import MessageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from dkist_airflow_node.messages.settings import BusSettings
    from dkist_airflow_node.messages.spool import Spool, Waiting

PAUSE_SECONDS = 30
"""After a failed connection, for how long callbacks only spool."""

LEAVE_SECONDS = 0.5
"""How long a connection may take to close properly, when everything is sent."""


@dataclass(frozen=True)
class Delivery:
    """What came of an attempt to send."""

    sent: int
    """Messages that the broker has confirmed."""

    fault: MessageError | None
    """Why the others were not sent."""


class Pause:
    """The time after a failed connection in which no other is tried: a file in the spool for each address."""

    def __init__(self, folder: Path, settings: BusSettings) -> None:
        digest = hashlib.sha256(settings.address.encode("utf-8", "backslashreplace")).hexdigest()[:16]
        self._marker = folder / f"{digest}.pause"

    def remaining_seconds(self) -> float:
        """Return for how long to wait yet; 0 for not at all."""
        try:
            age = time.time() - self._marker.stat().st_mtime
        except OSError:
            return 0
        # A clock that was set back must not make the pause longer.
        return PAUSE_SECONDS - age if 0 <= age < PAUSE_SECONDS else 0

    def begin(self) -> None:
        """Note a failed connection."""
        try:
            self._marker.touch(mode=0o600)
        except OSError:
            return  # no spool, so nothing waits that a pause could keep from being sent

    def end(self) -> None:
        """Note a connection that came about."""
        self._marker.unlink(missing_ok=True)


def send_waiting(
    settings: BusSettings,
    spool: Spool | None,
    *,
    seconds: float,
    total_seconds: float = math.inf,
    extra: Sequence[bytes] = (),
) -> Delivery:
    """Send the messages that wait, oldest first, and delete each when the broker has confirmed it.

    Parameters
    ----------
    settings
        The broker.
    spool
        Where messages wait; None where there is no spool to be had.
    seconds
        How long the broker may take for the first message, and then for each further one.
    total_seconds
        How long all of it may take.
    extra
        Messages that could not be spooled; they are sent first.
    """
    # A long queue must not look like a broker that does not answer.
    stop = time.monotonic() + 0.8 * total_seconds
    sender = _Sender(settings, spool, seconds=min(seconds, total_seconds), stop=stop, extra=extra)
    watched = Watched(sender.send(), seconds=seconds, total_seconds=total_seconds)
    sent = 0
    fault: MessageError | None = None
    try:
        for has_sent in watched:
            if not has_sent:
                break
            sent += 1
    except MessageError as error:
        fault = error
    except TimeoutError:
        sender.abandon()
        fault = BusUnreachableError(f"broker {settings.address}: no answer in time while {sender.step}")
    else:
        watched.join(LEAVE_SECONDS)
    if spool is not None:
        _note_connection(Pause(spool.folder, settings), sent, fault)
    return Delivery(sent=sent, fault=fault)


class _Sender:
    """What is done in the thread that may be left behind."""

    def __init__(
        self, settings: BusSettings, spool: Spool | None, *, seconds: float, stop: float, extra: Sequence[bytes]
    ) -> None:
        self.step = "connecting"
        """What the thread is at, in words."""
        self._settings, self._spool, self._seconds, self._stop, self._extra = settings, spool, seconds, stop, extra
        self._claim: Waiting | None = None
        self._is_abandoned = False

    def abandon(self) -> None:
        """Let other processes send the message that this one does not get rid of."""
        self._is_abandoned = True
        if (claim := self._claim) is not None:
            claim.release()

    def send(self) -> Iterator[bool]:
        """Send everything; yield True for each confirmed message, and False when all that is left is to disconnect."""
        with BusConnection(self._settings, self._seconds) as bus:
            for body in self._extra:
                self._publish(bus, body)
                yield True
            for claim in self._spool.claims() if self._spool else ():
                self._claim = claim
                self._publish(bus, claim.body)
                claim.remove()
                self._claim = None
                yield True
                if time.monotonic() > self._stop:
                    break
            yield False

    def _publish(self, bus: BusConnection, body: bytes) -> None:
        if not bus.is_open:
            bus.open()
            self.step = "preparing the exchange and the queue"
            bus.ensure_exchange()
            bus.ensure_queue()
            bus.ensure_route()
            self.step = "publishing"
        if self._is_abandoned:
            raise BusUnreachableError("too late: another process may be sending the message by now")
        bus.publish(body)


def _note_connection(pause: Pause, sent: int, fault: MessageError | None) -> None:
    if isinstance(fault, BusUnreachableError):
        pause.begin()
    elif sent:
        pause.end()
