"""Files that stand together in the picture of a run, so that many of them stay legible."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dkist_build_utils.records.item import Item

PLACES = 3
"""Most folders between the same tasks that have a group each; of more, all files stand together."""

_NOUNS = {"file": "files", "folder": "folders", "uri": "URIs"}


@dataclass(frozen=True)
class FileGroup:
    """Files that the same tasks generated and used."""

    makers: tuple[str, ...]
    """The tasks that generated them."""
    users: tuple[str, ...]
    """The tasks that used them."""
    place: str
    """The folder that they are in, or the number of folders."""
    items: tuple[Item, ...]
    """The files."""

    @property
    def noun(self) -> str:
        """What its members are called."""
        kinds = {item.last.kind for item in self.items}
        return _NOUNS.get(kinds.pop(), "items") if len(kinds) == 1 else "items"

    @property
    def name(self) -> str:
        """The name of the one file; of several, what their names have in common: ``dark_*.fits``."""
        names = list(dict.fromkeys(item.name for item in self.items))
        if len(names) == 1:
            return names[0]
        start = _common_start(names)
        end = _common_start([name[len(start) :][::-1] for name in names])[::-1]
        return f"{start}*{end}"


def groups_of(items: Iterable[Item]) -> list[FileGroup]:
    """Return files in groups: those of one folder between the same tasks."""
    found: dict[tuple[tuple[str, ...], tuple[str, ...]], dict[str, list[Item]]] = {}
    for item in items:
        makers = tuple(dict.fromkeys(attempt.task for attempt in item.generated_by))
        users = tuple(dict.fromkeys(attempt.task for attempt in item.used_by))
        found.setdefault((makers, users), defaultdict(list))[item.place].append(item)
    groups = []
    for (makers, users), places in found.items():
        if len(places) > PLACES:
            together = tuple(item for each in places.values() for item in each)
            groups.append(FileGroup(makers, users, f"{len(places)} folders", together))
        else:
            groups += [FileGroup(makers, users, place, tuple(each)) for place, each in places.items()]
    return groups


def _common_start(names: Sequence[str]) -> str:
    """Return the letters that all names begin with."""
    first, last = min(names), max(names)
    return first[: next((place for place, letter in enumerate(first) if last[place : place + 1] != letter), len(first))]
