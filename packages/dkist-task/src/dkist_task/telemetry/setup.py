"""Telemetry of a launched task: set up from the standard variables, closed within a deadline."""

from __future__ import annotations

import logging
import os
import sys
import time
from typing import TYPE_CHECKING, Any

from opentelemetry import trace

from dkist_task.grace import CLOSE_SECONDS
from dkist_task.telemetry.deadline import in_parallel
from dkist_task.telemetry.exporters import exporter_names

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping

    from opentelemetry.context import Context

    from dkist_task.identity import TaskIdentity
    from dkist_task.outcome import Outcome
    from dkist_task.telemetry.process_spans import ProcessSpans

    Starter = Callable[["Telemetry", TaskIdentity, Mapping[str, str]], None]

logger = logging.getLogger(__name__)


class Telemetry:
    """Where the spans and metrics of this process go."""

    def __init__(self) -> None:
        self.spans: ProcessSpans | None = None
        """The processor that was set up, None where nobody asked for spans or the application set its own provider."""
        self.closers: list[Callable[[], object]] = []
        """What closes each provider, or flushes it where it is the application's."""

    def flush_at_end(self, provider: Any) -> None:
        """Flush a provider of the application's own at the end; it is the application's to close."""
        flush = getattr(provider, "force_flush", None)
        if flush is not None:
            self.closers.append(flush)

    def send_open_spans(self, outcome: Outcome) -> None:
        """End and send what is open, for code that does not come back in time; nothing is closed.

        In a thread, as the code that this interrupts may hold a lock that is needed here.
        """
        spans = self.spans
        if spans is None:
            return

        def send() -> None:
            spans.force_flush()
            spans.end_open(outcome)
            spans.force_flush()

        in_parallel([send], CLOSE_SECONDS)

    def close(self, outcome: Outcome, since: float) -> None:
        """Send everything and stop, within `CLOSE_SECONDS` of the monotonic time `since` whatever a collector does."""
        if self.spans is not None:
            self.spans.end_open(outcome)
        in_parallel(self.closers, since + CLOSE_SECONDS - time.monotonic())


def start_telemetry(identity: TaskIdentity, environment: Mapping[str, str]) -> Telemetry:
    """Set up what `environment` asks for, unless a package has set providers of its own.

    The SDK is imported only if something is asked for. A wrong setting is a warning.
    """
    return _start((_start_tracing, _start_metrics), identity, environment)


def start_child_telemetry(identity: TaskIdentity, environment: Mapping[str, str]) -> Telemetry:
    """Set up tracing in a spawned child; a run is counted once, so metrics are its parent's."""
    return _start((_start_tracing,), identity, environment)


def _start(starters: tuple[Starter, ...], identity: TaskIdentity, environment: Mapping[str, str]) -> Telemetry:
    """Set up each part; one that fails costs no other."""
    telemetry = Telemetry()
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return telemetry
    for start in starters:
        try:
            start(telemetry, identity, environment)
        except Exception as error:
            logger.warning("telemetry is incomplete: %s: %s", type(error).__name__, error)
    if environment.get("DKIST_INSTRUMENT") and _records_spans():
        from dkist_task.telemetry.instrumentation import instrument_libraries

        instrument_libraries(environment)
    return telemetry


def _records_spans() -> bool:
    """Return whether a span that a library starts goes anywhere."""
    return not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider | trace.NoOpTracerProvider)


def _start_tracing(telemetry: Telemetry, identity: TaskIdentity, environment: Mapping[str, str]) -> None:
    """Set a tracer provider where spans are asked for."""
    provider = trace.get_tracer_provider()
    if not isinstance(provider, trace.ProxyTracerProvider):
        if isinstance(provider, trace.NoOpTracerProvider):
            asked = exporter_names("TRACES", environment) or environment.get("DKIST_SPAN_FOLDER")
            _warn_of_no_op("spans", asked)
        telemetry.flush_at_end(provider)
        return
    if not (exporter_names("TRACES", environment) or environment.get("DKIST_SPAN_FOLDER")):
        return
    from opentelemetry.sdk.trace import TracerProvider

    from dkist_task.telemetry.process_spans import ProcessSpans
    from dkist_task.telemetry.sinks import make_span_sinks

    telemetry.spans = ProcessSpans(lambda: make_span_sinks(identity, environment))
    tracer_provider = TracerProvider(resource=_resource(identity), shutdown_on_exit=False)
    tracer_provider.add_span_processor(telemetry.spans)
    trace.set_tracer_provider(tracer_provider)
    telemetry.closers.append(tracer_provider.shutdown)


def _start_metrics(telemetry: Telemetry, identity: TaskIdentity, environment: Mapping[str, str]) -> None:
    """Set a meter provider where metrics are asked for."""
    if "opentelemetry.metrics" in sys.modules:
        from opentelemetry import metrics

        provider = metrics.get_meter_provider()
        if type(provider).__name__ != "_ProxyMeterProvider":  # what stands in until one is set has no public name
            if isinstance(provider, metrics.NoOpMeterProvider):
                _warn_of_no_op("metrics", exporter_names("METRICS", environment))
            telemetry.flush_at_end(provider)
            return
    if not exporter_names("METRICS", environment):
        return
    from opentelemetry import metrics
    from opentelemetry.sdk.metrics import MeterProvider

    from dkist_task.telemetry.sinks import make_metric_readers

    readers = make_metric_readers(environment)
    meter_provider = MeterProvider(readers, resource=_resource(identity), shutdown_on_exit=False)
    metrics.set_meter_provider(meter_provider)
    telemetry.closers.append(meter_provider.shutdown)


def _warn_of_no_op(what: str, asked: object) -> None:
    """Warn where `what` was asked for and a package switched it off."""
    if asked:
        logger.warning("no %s are recorded: a package that the task imports set a no-op provider for them", what)


def refuse_missing_providers(environment: MutableMapping[str, str]) -> None:
    """Remove the names of providers that are not installed, with a warning for each.

    OpenTelemetry would raise an error wherever the task, or a package on import, asks for a tracer or a meter.
    """
    for kind in ("tracer", "meter"):
        variable = f"OTEL_PYTHON_{kind.upper()}_PROVIDER"
        if name := environment.get(variable):
            import importlib.metadata

            if not importlib.metadata.entry_points(group=f"opentelemetry_{kind}_provider", name=name):
                del environment[variable]
                logger.warning("%s=%r is ignored: no such provider is installed", variable, name)


def _resource(identity: TaskIdentity) -> Any:
    """Return what the telemetry is about; what the user's own variables say wins."""
    from uuid import uuid4

    from opentelemetry.sdk.resources import OTELResourceDetector, Resource

    own: dict[str, Any] = {
        "service.name": identity.workflow_name,
        "service.version": identity.workflow_version,
        "service.instance.id": str(uuid4()),
        "host.name": os.uname().nodename,
        "process.pid": os.getpid(),
    }
    # Resource.create would let its argument override OTEL_SERVICE_NAME.
    return Resource.create({**own, **OTELResourceDetector().detect().attributes})


def parent_context(identity: TaskIdentity, environment: Mapping[str, str]) -> Context:
    """Return the context that a task's spans hang under."""
    from dkist_task.telemetry import trace_parent

    return trace_parent.parent_context(identity, environment)


def carrier_of(span: trace.Span) -> dict[str, str]:
    """Return the variables by which a child process joins the trace below `span`."""
    from dkist_task.telemetry import trace_parent

    return trace_parent.carrier_of(span)
