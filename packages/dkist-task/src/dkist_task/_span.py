"""Spans that tell how the work inside them ended."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.util.types import AttributeValue

from dkist_task._outcome import outcome_of


@contextmanager
def open_span(
    tracer: trace.Tracer,
    name: str,
    *,
    attributes: Mapping[str, AttributeValue] | None = None,
    context: Context | None = None,
) -> Iterator[trace.Span]:
    """Make a span current while its block runs, and end it with the block's outcome.

    The stock helper records nothing for ``SystemExit`` and ``KeyboardInterrupt``; here all that leaves is told.
    """
    span = tracer.start_span(name, context, attributes=attributes)
    try:
        with trace.use_span(span, record_exception=False, set_status_on_exception=False):
            yield span
    except GeneratorExit:
        # The block is part of a generator that its consumer no longer needs: nothing went wrong.
        raise
    except BaseException as error:
        record_failure(span, error)
        raise
    finally:
        span.end()


def record_failure(span: trace.Span, error: BaseException) -> None:
    """Write `error` on `span`, unless it is a clean exit; a status that the task set is left as it is."""
    outcome = outcome_of(error)
    if outcome.is_success or not span.is_recording():
        return
    span.set_attribute("error.type", outcome.error_type or "")
    span.record_exception(error)
    status = getattr(span, "status", None)
    if status is None or status.status_code is trace.StatusCode.UNSET:
        span.set_status(trace.StatusCode.ERROR, f"{outcome.error_type}: {error}")
