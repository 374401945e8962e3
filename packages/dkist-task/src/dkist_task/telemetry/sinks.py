"""Where spans and metrics go, made from the standard variables."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from dkist_task.telemetry.exporters import make_exporters, positive_number
from dkist_task.telemetry.span_file import SpanFile

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.sdk.metrics.export import MetricsData
    from opentelemetry.sdk.trace import SpanProcessor

    from dkist_task.identity import TaskIdentity

logger = logging.getLogger(__name__)

QUEUE_SPANS = 20_000
"""Spans that may wait to be sent: a tight loop makes the SDK's 2,048 in a tenth of a second, and loses the rest."""

MAXIMUM_QUEUE_SPANS = 1_000_000
"""Most spans that may wait: each takes about a kilobyte of the task's memory."""

BATCH_SPANS = 512
DELAY_MILLISECONDS = 1000
"""How long a span waits for others: what a kill can cost."""

INTERVAL_MILLISECONDS = 60_000


def make_span_sinks(identity: TaskIdentity, environment: Mapping[str, str]) -> list[SpanProcessor]:
    """Return new processors for the spans of this process."""
    queue = int(positive_number(environment.get("OTEL_BSP_MAX_QUEUE_SIZE", ""), QUEUE_SPANS))
    if queue > MAXIMUM_QUEUE_SPANS:
        logger.warning("OTEL_BSP_MAX_QUEUE_SIZE=%d is too large; %d is used", queue, MAXIMUM_QUEUE_SPANS)
        queue = MAXIMUM_QUEUE_SPANS
    batch = int(positive_number(environment.get("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", ""), BATCH_SPANS))
    delay = positive_number(environment.get("OTEL_BSP_SCHEDULE_DELAY", ""), DELAY_MILLISECONDS)
    sinks: list[SpanProcessor] = [
        BatchSpanProcessor(
            exporter,
            max_queue_size=max(queue, 1),
            max_export_batch_size=max(min(batch, queue), 1),
            schedule_delay_millis=delay,
        )
        for exporter in make_exporters("TRACES", environment)
    ]
    folder = environment.get("DKIST_SPAN_FOLDER")
    if folder:
        run = str(identity.recipe_run_id)[:100]  # a file's name has at most 255 bytes
        sinks.append(SpanFile(Path(folder, f"recipe-run-{run}"), f"{identity.task_name}-{run[:20]}"))
    return sinks


def make_metric_readers(environment: Mapping[str, str]) -> list[MetricReader]:
    """Return new readers that send this process's metrics."""
    interval = positive_number(environment.get("OTEL_METRIC_EXPORT_INTERVAL", ""), INTERVAL_MILLISECONDS)
    return [
        OwnProcessReader(exporter, export_interval_millis=interval)
        for exporter in make_exporters("METRICS", environment)
    ]


class OwnProcessReader(PeriodicExportingMetricReader):
    """Send metrics from the process it was made in: a forked child's copy would count the parent's again."""

    def __init__(self, exporter: Any, export_interval_millis: float) -> None:
        self._process_id = os.getpid()
        super().__init__(exporter, export_interval_millis=export_interval_millis)

    def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> None:
        if os.getpid() == self._process_id:
            super()._receive_metrics(metrics_data, timeout_millis, **kwargs)
