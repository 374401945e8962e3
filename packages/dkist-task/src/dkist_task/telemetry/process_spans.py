"""The spans of one process: which are open, and where they go when they end."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import Event, ReadableSpan, SpanProcessor
from opentelemetry.trace import Link, Status

from dkist_task.identity import INT64_MAX, RESULT, TASK_NAME
from dkist_task.telemetry.deadline import in_parallel
from dkist_task.telemetry.span import end, record_outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import Span

    from dkist_task.outcome import Outcome

logger = logging.getLogger(__name__)

CHILD_SECONDS = 1.5
"""Longest that a child process may take to send its spans, while its parent waits for it."""


class ProcessSpans(SpanProcessor):
    """Pass every span that this process started on to sinks of this process's own, once.

    A forked child holds copies of its parent's open spans, its unsent ones and its connections: it drops the first, and
    makes new sinks in place of the others.

    Parameters
    ----------
    make_sinks : callable
        Returns the processors that spans go to; called in each process when its first span ends.
    """

    def __init__(self, make_sinks: Callable[[], Sequence[SpanProcessor]]) -> None:
        self._make_sinks = make_sinks
        self._start_over()
        os.register_at_fork(after_in_child=self._start_over)

    def _start_over(self) -> None:
        """Forget what belongs to the parent process."""
        self._sinks: Sequence[SpanProcessor] | None = None
        self._open: dict[int, Span] = {}
        self._lock = threading.RLock()
        # Forked children of multiprocessing run what is registered here, and leave by os._exit.
        util = sys.modules.get("multiprocessing.util")
        if util is not None:
            util.register_after_fork(self, ProcessSpans.send_at_child_exit)

    def send_at_child_exit(self) -> None:
        """Send the spans of this child of `multiprocessing` when it ends."""
        from multiprocessing.util import Finalize

        Finalize(None, in_parallel, ([self.force_flush], CHILD_SECONDS), exitpriority=100)

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002 the interface's
        """Note that `span` is open."""
        self._open[span.get_span_context().span_id] = span

    def on_end(self, span: ReadableSpan) -> None:
        """Pass `span` on."""
        if span.context is None or self._open.pop(span.context.span_id, None) is None:
            return
        with self._lock:
            if self._sinks is None:
                try:
                    self._sinks = self._make_sinks()
                except Exception as error:
                    self._sinks = ()
                    logger.warning("spans are not sent: %s: %s", type(error).__name__, error)
        encodable = encodable_span(span)
        for sink in self._sinks:
            sink.on_end(encodable)

    def end_open(self, outcome: Outcome) -> None:
        """End every open span of this process, innermost first: its code does not come to do so."""
        for span in reversed(list(self._open.values())):
            if span.is_recording():
                if TASK_NAME in (span.attributes or {}):
                    span.set_attribute(RESULT, outcome.result)
                record_outcome(span, outcome, None)
                end(span)
            else:
                # A signal's exception came between the end of the span and `on_end`.
                self.on_end(span)

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Send what has ended."""
        results = [sink.force_flush(timeout_millis) for sink in self._sinks or ()]
        return all(results)

    def shutdown(self) -> None:
        """Send what has ended and stop."""
        for sink in self._sinks or ():
            sink.shutdown()


def encodable_span(span: ReadableSpan) -> ReadableSpan:
    """Return `span` such that every exporter can encode it, `span` itself in all but rare cases.

    One string with half a surrogate pair (a file name in an error message, say) or one integer beyond 64 bits would
    make the exporter throw away the batch that it is in.
    """
    parts: tuple[Any, ...] = (
        span.name,
        span.attributes,
        span.status.description,
        [(event.name, event.attributes) for event in span.events],
        [link.attributes for link in span.links],
    )
    if _is_encodable(parts):
        return span
    return ReadableSpan(
        name=_encodable(span.name),
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=_encodable(span.attributes),
        events=[Event(_encodable(event.name), _encodable(event.attributes), event.timestamp) for event in span.events],
        links=[Link(link.context, _encodable(link.attributes)) for link in span.links],
        kind=span.kind,
        status=Status(span.status.status_code, _encodable(span.status.description)),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _is_encodable(value: object) -> bool:
    """Return whether `value` and all it holds can be encoded."""
    match value:
        case str():
            return value.isascii() or _replaced(value) == value
        case int():
            return -INT64_MAX <= value <= INT64_MAX
        case Mapping():
            return all(_is_encodable(key) and _is_encodable(item) for key, item in value.items())
        case list() | tuple():
            return all(map(_is_encodable, value))
        case None | float() | bytes():
            return True
        case _:
            return False


def _encodable(value: Any) -> Any:
    """Return `value`, with text in place of what cannot be encoded."""
    match value:
        case str():
            return _replaced(value)
        case Mapping():
            return {_replaced(str(key)): _encodable(item) for key, item in value.items()}
        case list() | tuple():
            return [_encodable(item) for item in value]
        case _:
            return value if _is_encodable(value) else _replaced(str(value))


def _replaced(text: str) -> str:
    """Return `text` with a question mark for each half of a surrogate pair."""
    return text.encode(errors="replace").decode()
