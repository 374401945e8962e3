"""The code blocks of the documentation, and what a comment before a block says of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

PAGES = sorted([*(ROOT / "docs").rglob("*.md"), *(ROOT / "packages").glob("*/README.md")])
"""What the site is made of."""

_BLOCK = re.compile(
    r"(?:^ *`(?P<file>[^`\n]+)`:\n\n)?"  # "`path`:" before a block: the block is that file
    r"(?:^ *<!-- (?P<remark>[^\n]*) -->\n)?"
    r"^(?P<indent> *)```(?P<language>[^\n]*)\n(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    page: Path
    """The page, relative to the repository."""

    line: int
    """Where the block begins, from 1."""

    language: str
    """What stands after the three backticks."""

    text: str
    """What the block holds, without its indentation."""

    remark: str
    """The comment on the line before it: ``not run: why``, or ``run by tests/...``; else empty."""

    file: str
    """The path that is named on the line before it, where the block is a file; else empty."""

    def __str__(self) -> str:
        """Name the block by page and line."""
        return f"{self.page}:{self.line}"

    @property
    def commands(self) -> str:
        """The commands that a shell block shows, without what they print."""
        if self.language != "console":
            return self.text
        shown, is_command = [], False
        for line in self.text.splitlines():
            if line.startswith("$ ") or is_command:
                shown.append(line.removeprefix("$ "))
                is_command = line.endswith("\\")
        return "\n".join(shown) + "\n"


def blocks_of(page: Path) -> list[Block]:
    """Return the blocks of a page, Sphinx's own directives left out."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            page=page.relative_to(ROOT),
            line=text.count("\n", 0, found.start("language")) + 1,
            language=found["language"],
            text=re.sub(rf"^{found['indent']}", "", found["text"], flags=re.MULTILINE),
            remark=found["remark"] or "",
            file=found["file"] or "",
        )
        for found in _BLOCK.finditer(text)
        if not found["language"].startswith("{")
    ]


BLOCKS = [block for page in PAGES for block in blocks_of(page)]
"""All of them."""
