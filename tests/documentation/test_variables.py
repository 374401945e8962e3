"""The page of environment variables names every variable that the code knows, and no other."""

from __future__ import annotations

import re

from tests.documentation.blocks import ROOT

PAGE = ROOT / "docs" / "reference" / "environment-variables.md"
OURS = r"\bDKIST_[A-Z0-9]+(?:_[A-Z0-9]+)*\b(?!_)"
OTHERS = r"(?:environ|environment)(?:\.get\(|\[)\"([A-Z][A-Z0-9_]+)\""
NOT_SETTINGS = {"PYTHONPATH", "TERM", "HOME", "VIRTUAL_ENV"}
"""What the code reads as every program does."""


def test_page_names_every_variable() -> None:
    """A variable that the code reads or sets is on the page; a variable on the page is in the code."""
    code = "\n".join(path.read_text() for path in (ROOT / "packages").rglob("src/**/*.py"))
    page = PAGE.read_text()
    ours = set(re.findall(OURS, code))
    assert ours == set(re.findall(OURS, page))
    assert len(ours) > 20
    others = set(re.findall(OTHERS, code)) - NOT_SETTINGS
    missing = {name for name in others - ours if name not in page and not name.startswith(("OTEL_", "UV_"))}
    assert missing == set()
