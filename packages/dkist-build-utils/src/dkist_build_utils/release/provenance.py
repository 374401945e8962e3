"""What a manifest says of where a release came from."""

from __future__ import annotations

import platform
import sys
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Self

from dkist_build_utils.release.source import Source

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dkist_build_utils.release.json_object import JsonObject


@dataclass(frozen=True)
class Provenance:
    """Where a release came from; what is not known is left out of the manifest."""

    source: Source | None = None
    """The commit of the workflow package's repository."""
    made_at: str | None = None
    """The time that ``SOURCE_DATE_EPOCH`` gave."""
    locked_on: str | None = None
    """The platform of the machine that made the locks, if they are for that."""
    origins: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What the locks hold (``name==version``), by the place that it was found in."""

    @classmethod
    def from_members(cls, members: JsonObject) -> Self:
        """Take these members out of a manifest; BuildError if one has another form."""
        source = members.optional_object("source")
        return cls(
            source=None if source is None else Source(source.word("commit"), is_clean=source.flag("is_clean")),
            made_at=members.optional_text("made_at"),
            locked_on=members.optional_text("locked_on"),
            origins=members.optional_text_lists("origins"),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the members of a manifest."""
        return {name: value for name, value in asdict(self).items() if value}


def this_platform() -> str:
    """Return the platform of this machine, as far as wheels of one machine do not run on another."""
    return f"{sys.platform}-{platform.machine()}"
