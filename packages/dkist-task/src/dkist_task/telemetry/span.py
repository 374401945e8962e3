"""Spans that record how the work inside them ended."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from opentelemetry import trace

from dkist_task.outcome import Outcome, outcome_of
from dkist_task.telemetry.log_format import is_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from opentelemetry.context import Context
    from opentelemetry.util.types import AttributeValue

    from dkist_task.identity import TaskIdentity

TRACER_NAME = "dkist_task"


@contextmanager
def open_span(
    name: str, *, attributes: Mapping[str, AttributeValue] | None = None, context: Context | None = None
) -> Iterator[trace.Span]:
    """Make a span current while its block runs, and end it with the block's outcome.

    The stock helper records nothing for ``SystemExit`` and ``KeyboardInterrupt``; this one records every exception.
    """
    span = trace.get_tracer(TRACER_NAME).start_span(name, context, attributes=attributes)
    try:
        with trace.use_span(span, record_exception=False, set_status_on_exception=False):
            yield span
    except GeneratorExit:
        # The block is part of a generator that its consumer no longer needs: nothing went wrong.
        raise
    except BaseException as error:
        record_outcome(span, outcome_of(error), error)
        raise
    finally:
        end(span)


def run_context(identity: Callable[[], TaskIdentity]) -> Context | None:
    """Return what a span of a run hangs under where nothing is current (in a thread, say); None for what is current.

    Where nobody records spans and no log shows their ids there is nothing to hang, and a third of a launcher's own
    start is saved.
    """
    is_under_span = trace.get_current_span().get_span_context().is_valid
    is_recorded = not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
    if is_under_span or not (is_recorded or is_json(os.environ)):
        return None
    from dkist_task.telemetry.trace_parent import parent_context

    return parent_context(identity(), os.environ)


def record_outcome(span: trace.Span, outcome: Outcome, error: BaseException | None) -> None:
    """Write a failure on `span`; a status that the task set is left as it is.

    Raises nothing, whatever the exception's own ``__str__`` does: `error` must stay what the task is seen to fail with.
    """
    if outcome.is_success or not span.is_recording():
        return
    span.set_attribute("error.type", outcome.error_type or "")
    description = outcome.error_type
    try:
        description = f"{outcome.error_type}: {error}"
        if error is not None:
            span.record_exception(error)
    except Exception:
        span.add_event("exception", {"exception.type": outcome.error_type or ""})
    status = getattr(span, "status", None)
    if status is None or status.status_code is trace.StatusCode.UNSET:
        span.set_status(trace.StatusCode.ERROR, description)


def end(span: trace.Span) -> None:
    """End `span`, unless a termination that could not wait has ended it already."""
    if span.is_recording():
        span.end()
