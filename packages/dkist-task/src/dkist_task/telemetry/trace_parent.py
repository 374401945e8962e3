"""Where in which trace a task's spans hang, so that the separate processes of one run share one trace."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dkist_task.identity import TaskIdentity


def parent_context(identity: TaskIdentity, environment: Mapping[str, str]) -> Context:
    """Return the context that a task's spans hang under.

    That is the engine's, where ``TRACEPARENT`` names a sampled one. One that is not sampled is what an Airflow hands
    out whose own tracing is off, and would silently drop every span: it counts only if a sampler was asked for by
    ``OTEL_TRACES_SAMPLER``. Else it is a parent that every process of the run derives alike.
    """
    carrier = {name: environment.get(name.upper(), "") for name in ("traceparent", "tracestate")}
    given = TraceContextTextMapPropagator().extract(carrier, Context())
    parent = trace.get_current_span(given).get_span_context()
    if parent.is_valid and (parent.trace_flags.sampled or environment.get("OTEL_TRACES_SAMPLER")):
        return given
    return trace.set_span_in_context(trace.NonRecordingSpan(derived_parent(identity)), Context())


def derived_parent(identity: TaskIdentity) -> trace.SpanContext:
    """Return the parent that is the same for every task of a run; no span of its own is ever sent."""
    run = "\0".join((identity.workflow_name, identity.workflow_version, str(identity.recipe_run_id)))
    digest = hashlib.sha256(run.encode(errors="surrogatepass")).digest()
    trace_id, span_id = int.from_bytes(digest[:16]), int.from_bytes(digest[16:24])
    # Samplers follow their parent: what they would say of a new trace decides whether this parent is a sampled one.
    sampler = getattr(trace.get_tracer_provider(), "sampler", None)
    is_sampled = sampler is None or sampler.should_sample(Context(), trace_id, identity.task_name).decision.is_sampled()
    flags = trace.TraceFlags(trace.TraceFlags.SAMPLED if is_sampled else trace.TraceFlags.DEFAULT)
    return trace.SpanContext(trace_id, span_id, is_remote=True, trace_flags=flags)


def carrier_of(span: trace.Span) -> dict[str, str]:
    """Return the variables by which a child process joins the trace below `span`."""
    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier, trace.set_span_in_context(span, Context()))
    return {name.upper(): value for name, value in carrier.items()}
