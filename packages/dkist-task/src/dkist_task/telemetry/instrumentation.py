"""Libraries that record spans of their own, by the instrumentors that their makers and OpenTelemetry publish."""

from __future__ import annotations

import logging
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

logger = logging.getLogger(__name__)

VARIABLE = "DKIST_INSTRUMENT"
"""Names the instrumentors to use, with commas between them, or ``all``."""

GROUP = "opentelemetry_instrumentor"
"""The entry points that ``opentelemetry-instrument`` uses."""


def instrument_libraries(environment: Mapping[str, str]) -> None:
    """Instrument the libraries that `environment` asks for; what cannot be instrumented is a warning.

    Of ``all``, those are used that fit an installed library and that ``OTEL_PYTHON_DISABLED_INSTRUMENTATIONS`` does not
    name.
    """
    asked = _names(environment.get(VARIABLE, ""))
    disabled = _names(environment.get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", ""))
    found = {point.name: point for point in entry_points(group=GROUP)}
    for name in found if "all" in asked else asked:
        if name in disabled:
            continue
        if name not in found:
            known = ", ".join(sorted(found)) or "none"
            logger.warning("%s=%r: no such instrumentor is installed (installed: %s)", VARIABLE, name, known)
            continue
        try:
            _instrument(found[name])
        except Exception as error:
            level = logging.WARNING if name in asked else logging.DEBUG
            logger.log(level, "%s: %s is not instrumented: %s: %s", VARIABLE, name, type(error).__name__, error)


def _instrument(point: EntryPoint) -> None:
    """Use one instrumentor, unless a package has done so."""
    instrumentor = point.load()()
    if not getattr(instrumentor, "is_instrumented_by_opentelemetry", False):
        instrumentor.instrument(raise_exception_on_conflict=True)


def _names(text: str) -> tuple[str, ...]:
    """Return the names of a list, each once."""
    return tuple(dict.fromkeys(name for name in (part.strip() for part in text.split(",")) if name))
