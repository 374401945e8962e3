"""The English that readers had to read twice does not come back."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("benchmarks", "docs", "examples", "harness", "packages", "tests")

PHRASES = {
    r"(am|is|are|was|were|be|been) told": "say what happens: reported, recorded, marked, raised, named",
    r"tell(s|ing)? of": "say what happens: reports, describes",
    r"mend(s|ed|ing)?": "fix",
    r"as ever": "say what it does",
    r"what is no": "name the thing: a value that is not ...",
    r"(of|to) which (it|nobody|nothing)": "make two sentences",
    r"need not have": "does not need",
    r"count(s)? no longer": "name the state: revoked, expired",
    r"(ended|called|dropped|waits) without a word": "silently, or what is missing: never reported an end",
    r"tidy hand": "say what must not be changed, and why",
}
"""A pattern of words, and what to write instead."""


def test_no_phrase_has_to_be_read_twice() -> None:
    """Code and documents use short, active sentences and the words of the field."""
    texts = [path for folder in FOLDERS for kind in ("py", "md", "sh") for path in (ROOT / folder).rglob(f"*.{kind}")]
    texts += ROOT.glob("*.md")
    texts.remove(Path(__file__))
    assert len(texts) > 100
    faults = [
        f"{path.relative_to(ROOT)}:{number}: {found[0]!r}: {advice}"
        for path in sorted(texts)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        for phrase, advice in PHRASES.items()
        if (found := re.search(rf"\b{phrase}\b", line, re.IGNORECASE))
    ]
    assert faults == []
