"""The tasks: what is done."""

from __future__ import annotations

from template_instrument.tasks.count import Count
from template_instrument.tasks.report import Report

__all__ = ["Count", "Report"]
