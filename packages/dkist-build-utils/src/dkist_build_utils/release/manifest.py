"""The manifest of a release folder: a JSON file that says what was released."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Self

from dkist_build_utils.errors import BuildError, NewerManifestError
from dkist_build_utils.release.identity import ReleaseIdentity
from dkist_build_utils.release.json_object import JsonObject
from dkist_build_utils.release.provenance import Provenance
from dkist_build_utils.release.workflow_row import WorkflowRow

if TYPE_CHECKING:
    from collections.abc import Mapping

MANIFEST_NAME = "manifest.json"
SCHEMA = 1
"""The version of the form. It rises when a reader of the previous one would misread a manifest."""


@dataclass(frozen=True)
class Manifest:
    """What ``manifest.json`` says."""

    release: ReleaseIdentity
    """What was released, and for which workers."""
    files: Mapping[str, str]
    """The SHA-256 of each file of the folder except the manifest."""
    locks: Mapping[str, tuple[str, ...]]
    """The extras that each lock holds, by file name; empty for a release without locks."""
    workflows: tuple[WorkflowRow, ...]
    """A row for each workflow."""
    made_with: Mapping[str, str]
    """The versions of the distributions that made the files."""
    wheels: Mapping[str, str] = field(default_factory=dict)
    """The SHA-256 of each wheel of the release by file name; empty if workers fetch them from an index."""
    provenance: Provenance = field(default_factory=Provenance)
    """Where the release came from."""
    others: Mapping[str, Any] = field(default_factory=dict)
    """Members that this version does not know."""

    @property
    def dag_ids(self) -> tuple[str, ...]:
        """The ids of the workflows."""
        return tuple(workflow.dag_id for workflow in self.workflows)

    @classmethod
    def from_json(cls, content: bytes) -> Self:
        """Return what a manifest says; members that this version does not know are kept.

        Parameters
        ----------
        content : bytes
            The bytes of ``manifest.json``.

        Raises
        ------
        NewerManifestError
            It has a newer schema.
        BuildError
            It is not a manifest, or a member is missing or has another form.
        """
        try:
            data = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise BuildError(f"{MANIFEST_NAME} is not a manifest: {type(error).__name__}: {error}") from error
        schema = data.pop("schema", None) if isinstance(data, dict) else None
        if not isinstance(schema, int) or schema < SCHEMA:
            raise BuildError(f"{MANIFEST_NAME} is not a manifest: its schema is unknown")
        if schema > SCHEMA:
            raise NewerManifestError(
                f"{MANIFEST_NAME} was made by a newer version of dkist-build-utils: it has schema {schema!r:.80}, "
                f"this version reads {SCHEMA}; install the newer version"
            )
        members = JsonObject(data, MANIFEST_NAME)
        return cls(
            release=_release(members),
            files=members.texts("files"),
            locks=members.word_lists("locks"),
            workflows=tuple(WorkflowRow.from_json(row, MANIFEST_NAME) for row in members.items("workflows")),
            made_with=members.texts("made_with"),
            wheels=members.optional_texts("wheels"),
            provenance=Provenance.from_members(members),
            others=members.others,
        )

    def to_json(self) -> bytes:
        """Return the bytes of ``manifest.json``."""
        own = {
            each.name: getattr(self, each.name)
            for each in fields(self)
            if each.name not in {"release", "provenance", "others"}
        }
        own["workflows"] = [workflow.to_json() for workflow in self.workflows]
        if not self.wheels:
            del own["wheels"]
        content = {**self.others, "schema": SCHEMA, **asdict(self.release), **self.provenance.to_json(), **own}
        return (json.dumps(content, indent=1, sort_keys=True) + "\n").encode()


def _release(members: JsonObject) -> ReleaseIdentity:
    """Read what was released."""
    distribution, version, python = (members.text(name) for name in ("distribution", "version", "python"))
    try:
        return ReleaseIdentity(distribution, version, python, members.optional_word("python_platform"))
    except BuildError as error:
        raise BuildError(f"{MANIFEST_NAME}: {error}") from None
