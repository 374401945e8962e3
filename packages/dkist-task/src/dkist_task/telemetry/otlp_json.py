"""Spans as OTLP/JSON, the form that every OpenTelemetry tool reads.

Written with the standard library: the official JSON exporter can only write to standard output. Follows
https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding: ids in hexadecimal, 64-bit integers as strings,
enumerations as numbers.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import Link, SpanContext


def line_of(span: ReadableSpan) -> bytes:
    """Return `span` as one line that is an ``ExportTraceServiceRequest`` of its own."""
    scope = span.instrumentation_scope
    scope_spans: dict[str, Any] = {"spans": [_span(span)]}
    if scope is not None:
        scope_spans["scope"] = {"name": scope.name, "version": scope.version or ""}
    resource = {"attributes": _attributes(span.resource.attributes)}
    request = {"resourceSpans": [{"resource": resource, "scopeSpans": [scope_spans]}]}
    return json.dumps(request, separators=(",", ":")).encode() + b"\n"


def _span(span: ReadableSpan) -> dict[str, Any]:
    """Return a message ``Span``."""
    context = span.context
    if context is None:
        raise ValueError(f"span {span.name!r} has no context")
    message: dict[str, Any] = {
        **_ids(context),
        "flags": _flags(span.parent, context),
        "name": span.name,
        "kind": span.kind.value + 1,  # the SDK counts from 0, OTLP keeps 0 for unspecified
        "startTimeUnixNano": str(span.start_time or 0),
        "endTimeUnixNano": str(span.end_time or 0),
        "attributes": _attributes(span.attributes),
        "droppedAttributesCount": span.dropped_attributes,
        "events": [
            {
                "timeUnixNano": str(event.timestamp),
                "name": event.name,
                "attributes": _attributes(event.attributes),
            }
            for event in span.events
        ],
        "droppedEventsCount": span.dropped_events,
        "links": [_link(link) for link in span.links],
        "droppedLinksCount": span.dropped_links,
        "status": {"code": span.status.status_code.value},
    }
    if span.status.description:
        message["status"]["message"] = span.status.description
    if span.parent is not None:
        message["parentSpanId"] = f"{span.parent.span_id:016x}"
    return message


def _ids(context: SpanContext) -> dict[str, str]:
    """Return what identifies a span."""
    ids = {"traceId": f"{context.trace_id:032x}", "spanId": f"{context.span_id:016x}"}
    if context.trace_state:
        ids["traceState"] = context.trace_state.to_header()
    return ids


def _flags(parent: SpanContext | None, context: SpanContext) -> int:
    """Return trace flags, with the two bits that say whether the parent is another process's."""
    has_remote_parent = parent is not None and parent.is_remote
    return int(context.trace_flags) | 0x100 | (0x200 if has_remote_parent else 0)


def _link(link: Link) -> dict[str, Any]:
    """Return a message ``Link``."""
    flags = _flags(link.context, link.context)
    return {**_ids(link.context), "attributes": _attributes(link.attributes), "flags": flags}


def _attributes(attributes: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Return messages ``KeyValue``."""
    return [{"key": str(key), "value": _value(value)} for key, value in (attributes or {}).items()]


def _value(value: object) -> dict[str, Any]:
    """Return a message ``AnyValue``; what it cannot hold becomes text."""
    message: dict[str, Any]
    match value:
        case None:
            message = {}
        case bool():
            message = {"boolValue": value}
        case int() if -(2**63) <= value < 2**63:
            message = {"intValue": str(value)}
        case float():
            message = {"doubleValue": value if math.isfinite(value) else _non_finite(value)}
        case str():
            message = {"stringValue": value}
        case bytes():
            message = {"bytesValue": base64.b64encode(value).decode()}
        case Mapping():
            message = {"kvlistValue": {"values": _attributes(value)}}
        case Sequence():
            message = {"arrayValue": {"values": [_value(item) for item in value]}}
        case _:
            message = {"stringValue": str(value)}
    return message


def _non_finite(value: float) -> str:
    """Return the word for a number that JSON does not have."""
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
