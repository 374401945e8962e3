"""Exporters by the names that ``OTEL_TRACES_EXPORTER`` and ``OTEL_METRICS_EXPORTER`` know them by."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any

from dkist_task.errors import TaskError

if TYPE_CHECKING:
    from collections.abc import Mapping

logger = logging.getLogger(__name__)

EXPORT_SECONDS = 10.0
"""Longest that one export may take: the default of the OTLP specification."""

PROTOCOLS = {"http/protobuf": "otlp_proto_http", "grpc": "otlp_proto_grpc"}
"""Entry points by protocol. The stock names mean gRPC by ``otlp``; where nobody says, the specification means HTTP."""

_EVERY_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
_BARE_ENDPOINT = re.compile(r"([\w.-]+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})(/\S*)?", re.ASCII)
"""An endpoint without a scheme, as `dkist-processing-core` documents them: ``host:port``."""

HTTP_PORT = "4318"
"""The port at which a collector takes OTLP over HTTP; at any other, an endpoint without a scheme is for gRPC."""


def exporter_names(signal: str, environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of the exporters to use.

    Parameters
    ----------
    signal : str
        ``TRACES`` or ``METRICS``.
    environment : mapping
        Where ``OTEL_{signal}_EXPORTER`` lists them. Unset, it means ``otlp`` where an endpoint is set and nothing
        elsewhere: whoever names a collector means it to be used, and a task without one has nowhere to send.
    """
    listed = environment.get(f"OTEL_{signal}_EXPORTER", "").strip()
    if not listed:
        return ("otlp",) if _endpoint(signal, environment)[1] else ()
    names = dict.fromkeys(name.strip() for name in listed.split(","))
    return tuple(name for name in names if name and name != "none")


def make_exporters(signal: str, environment: Mapping[str, str]) -> list[Any]:
    """Return new exporters for `signal`; one that cannot be made is a warning in the log."""
    exporters = []
    for name in exporter_names(signal, environment):
        try:
            exporters.append(_make_exporter(signal, name, environment))
        except Exception as error:
            logger.warning("no %s go to %r: %s: %s", signal.lower(), name, type(error).__name__, error)
    return exporters


def _make_exporter(signal: str, name: str, environment: Mapping[str, str]) -> Any:
    """Return the exporter `name`."""
    import importlib.metadata

    arguments: dict[str, Any] = {}
    entry_point = name
    variable, endpoint = _endpoint(signal, environment)
    bare = _BARE_ENDPOINT.fullmatch(endpoint)
    if name == "otlp":
        protocol = (
            environment.get(f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL")
            or environment.get("OTEL_EXPORTER_OTLP_PROTOCOL")
            or ("http/protobuf" if bare is None or bare[2] == HTTP_PORT else "grpc")
        ).strip()
        if protocol not in PROTOCOLS:
            raise TaskError(f"protocol {protocol!r} is none of {', '.join(PROTOCOLS)}")
        entry_point = PROTOCOLS[protocol]
    if entry_point in PROTOCOLS.values():
        # Python reads as seconds what the specification has in milliseconds: neither may mean hours.
        timeouts = (f"OTEL_EXPORTER_OTLP_{signal}_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT")
        text = next((environment[variable] for variable in timeouts if environment.get(variable)), "")
        arguments["timeout"] = min(positive_number(text, EXPORT_SECONDS), EXPORT_SECONDS)
        if bare is not None:
            has_own_path = bare[3] is not None and variable != _EVERY_ENDPOINT
            path = "" if has_own_path or entry_point != "otlp_proto_http" else f"/v1/{signal.lower()}"
            arguments["endpoint"] = f"{_scheme(signal, environment)}://{endpoint.rstrip('/')}{path}"
    if entry_point == "otlp_proto_http" and not any(name.endswith("_CREDENTIAL_PROVIDER") for name in environment):
        from dkist_task.telemetry.collector_session import CollectorSession

        arguments["session"] = CollectorSession()
    group = f"opentelemetry_{signal.lower()}_exporter"
    for candidate in importlib.metadata.entry_points(group=group, name=entry_point):
        return candidate.load()(**arguments)
    known = sorted({candidate.name for candidate in importlib.metadata.entry_points(group=group)})
    remedy = "'otlp' needs the extra 'otlp' of dkist-task"
    if bare is not None and entry_point == "otlp_proto_grpc":
        remedy = (
            f"{variable}={endpoint} has no scheme, so it is an endpoint for gRPC: write http:// and the port for HTTP "
            f"({HTTP_PORT}), or install 'opentelemetry-exporter-otlp-proto-grpc'"
        )
    raise TaskError(f"no exporter {entry_point!r} is installed (installed: {', '.join(known) or 'none'}); {remedy}")


def _endpoint(signal: str, environment: Mapping[str, str]) -> tuple[str, str]:
    """Return the variable that names the endpoint for `signal`, and what it names; the signal's own goes first."""
    for variable in (f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT", _EVERY_ENDPOINT):
        if text := environment.get(variable, "").strip():
            return variable, text
    return _EVERY_ENDPOINT, ""


def _scheme(signal: str, environment: Mapping[str, str]) -> str:
    """Return the scheme of an endpoint that was written without one: no encryption unless it is asked for."""
    variables = (f"OTEL_EXPORTER_OTLP_{signal}_INSECURE", "OTEL_EXPORTER_OTLP_INSECURE")
    said = next((environment[variable] for variable in variables if environment.get(variable)), "true")
    return "https" if said.strip().lower() == "false" else "http"


def positive_number(text: str, default: float) -> float:
    """Return the number that `text` holds, `default` where that is not a number above zero."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    return number if 0 < number < float("inf") else default
