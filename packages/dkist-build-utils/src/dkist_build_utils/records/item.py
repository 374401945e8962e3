"""An input or output of a run: who generated it, who used it, and whether it is still what it was."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from dkist_build_utils.records.attempt import Declaration, clean

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dkist_build_utils.records.attempt import RecordedAttempt

SAME, UNCHECKED, GONE, CHANGED, TOUCHED, MISSING = "same", "not checked", "gone", "changed", "touched", "missing"
REMARKS = {
    GONE: "gone: it is not where it was, or not on this host",
    CHANGED: "changed since it was recorded",
    TOUCHED: "its time has changed since, and no digest was recorded",
    MISSING: "it did not exist when it was declared",
}
"""What is said of an item in a state that a reader has to know."""


@dataclass(frozen=True)
class Item:
    """A file, a folder or what a URI names."""

    uri: str
    """What it is."""
    last: Declaration
    """What was said of it last: by the task that generated it, else by one that used it."""
    generated_by: tuple[RecordedAttempt, ...]
    """The attempts that generated it, in order."""
    used_by: tuple[RecordedAttempt, ...]
    """The attempts that used it, in order."""
    state: str
    """``same``, ``gone``, ``changed``, ``touched`` (no digest to compare), ``missing`` or ``not checked``."""

    @property
    def name(self) -> str:
        """The last part of its path, for people."""
        path = path_of(self.uri)
        text = os.fsdecode(path) if path else self.uri
        return clean(text.rstrip("/").rpartition("/")[2] or text)

    @property
    def place(self) -> str:
        """The folder that it is in, or the part of the URI before its name."""
        path = path_of(self.uri)
        text = os.fsdecode(path) if path else self.uri
        return clean(text.rstrip("/").rpartition("/")[0])

    @property
    def remark(self) -> str:
        """What a reader has to know of its state; nothing where all is well."""
        return REMARKS.get(self.state, "")


def items_of(attempts: Iterable[RecordedAttempt], *, check_files: bool) -> tuple[Item, ...]:
    """Return what attempts used and generated, rollbacks left out, in the order of the first declarations."""
    makers: dict[str, list[RecordedAttempt]] = {}
    users: dict[str, list[RecordedAttempt]] = {}
    last: dict[str, Declaration] = {}
    for attempt in attempts:
        if attempt.action != "run":
            continue
        for each in attempt.declarations:
            group = makers if each.direction == "generated" else users
            known = group.setdefault(each.uri, [])
            if not known or known[-1] is not attempt:
                known.append(attempt)
            before = last.get(each.uri)
            if before is None or each.direction == "generated" or before.direction == "used":
                last[each.uri] = each
    return tuple(
        Item(
            uri,
            each,
            tuple(makers.get(uri, ())),
            tuple(users.get(uri, ())),
            state_of(each) if check_files else UNCHECKED,
        )
        for uri, each in last.items()
    )


def state_of(declared: Declaration) -> str:
    """Return what became of a file or folder since it was declared; URIs are not looked at."""
    path = path_of(declared.uri)
    if declared.kind == "missing":
        return MISSING
    if path is None or declared.kind not in {"file", "folder"}:
        return UNCHECKED
    try:
        found = os.stat(path)
        return SAME if declared.kind == "folder" else _state_of_file(declared, path, found)
    except (OSError, ValueError):
        return GONE


def _state_of_file(declared: Declaration, path: bytes, found: os.stat_result) -> str:
    """Return what became of a file: its size decides, then its time, then its digest where one was recorded."""
    if found.st_size != declared.size or not stat.S_ISREG(found.st_mode):
        return CHANGED
    if found.st_mtime_ns == declared.modified_ns:
        return SAME
    if declared.sha256 is None:
        return TOUCHED
    with open(path, "rb") as file:
        return SAME if hashlib.file_digest(file, "sha256").hexdigest() == declared.sha256 else CHANGED


def path_of(uri: str) -> bytes | None:
    """Return the path of a ``file:`` URI, None for others."""
    return unquote_to_bytes(uri.removeprefix("file://")) if uri.startswith("file:///") else None
