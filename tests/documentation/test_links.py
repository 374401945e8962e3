"""Links of the pages that stand outside the site lead somewhere; Sphinx checks those inside."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.documentation.blocks import ROOT

PAGES = [*ROOT.glob("*.md"), *(ROOT / "examples").glob("*/README.md"), *(ROOT / "benchmarks").glob("*.md")]
LINK = r"\]\((?!https?:|#)([^)#\s]+)"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page: Path) -> None:
    """Each relative link names a file or a folder of the repository."""
    links = re.findall(LINK, page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", sorted((ROOT / "packages").glob("*/README.md")), ids=lambda page: page.parent.name)
def test_readme_of_a_distribution_stands_alone(page: Path) -> None:
    """An index shows it without the repository, so it has no relative link and no relative picture."""
    assert re.findall(LINK, page.read_text(encoding="utf-8")) == []
