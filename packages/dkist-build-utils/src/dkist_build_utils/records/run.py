"""The record of one run: its attempts in order, and what became of their inputs and outputs."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dkist_build_utils.errors import RecordError, counted
from dkist_build_utils.records.attempt import NO_END_REPORTED, Declaration, RecordedAttempt, attempt_from_lines, clean
from dkist_build_utils.records.item import Item, items_of
from dkist_build_utils.records.journal import read_journal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

RECORDS_FOLDER = "records"
"""The folder of the records in a run folder."""


@dataclass(frozen=True)
class RunRecord:
    """What is known of one run of a workflow."""

    folder: Path
    """Where the records of the attempts lie."""
    workflow: str
    """Name of the workflow."""
    versions: tuple[str, ...]
    """Its versions, in the order of their first attempts: a local run goes on with a newer one."""
    recipe_run_id: int
    """The recipe run."""
    attempts: tuple[RecordedAttempt, ...]
    """In the order in which they began."""
    items: tuple[Item, ...]
    """What they used and generated, in the order of the first declarations."""
    remarks: tuple[str, ...]
    """What a reader has to know: files that are gone, ends that nobody recorded, lines that cannot be read."""
    engine: str | None = None
    """What ran the tasks, where that is known."""

    @property
    def title(self) -> str:
        """The run in words."""
        return f"{self.workflow} {', '.join(self.versions)}, recipe run {self.recipe_run_id}"

    @property
    def last_attempts(self) -> Mapping[str, RecordedAttempt]:
        """The last attempt at each task, rollbacks left out, in the order in which the tasks first began."""
        return {each.task: each for each in self.attempts if each.action == "run"}

    @property
    def is_done(self) -> bool:
        """Whether the last attempt at each task that began went well."""
        last = self.last_attempts
        return bool(last) and all(attempt.is_done for attempt in last.values())

    def number_of(self, attempt: RecordedAttempt) -> int:
        """Return which attempt at its task it is, from 1; rollbacks are counted by themselves."""
        alike = [each for each in self.attempts if (each.task, each.action) == (attempt.task, attempt.action)]
        return 1 + next(place for place, each in enumerate(alike) if each is attempt)


def read_run(
    folder: Path,
    recipe_run_id: int | None = None,
    *,
    workflow: str | None = None,
    version: str | None = None,
    check_files: bool = True,
) -> RunRecord:
    """Return the record of the one run that a folder holds, or of the one that is named.

    Parameters
    ----------
    folder : Path
        A run folder, or the folder that ``DKIST_RECORD_FOLDER`` named when the tasks ran.
    recipe_run_id : int, optional
        The recipe run.
    workflow : str, optional
        The name of the workflow.
    version : str, optional
        The version of the workflow.
    check_files : bool, optional
        Whether to look for the files that were declared, and whether they are as they were.

    Raises
    ------
    RecordError
        There is no record, none of that run, or there are records of several.
    """
    has_journal = (folder / RECORDS_FOLDER).is_dir()
    records = folder / RECORDS_FOLDER if has_journal else folder
    if not records.is_dir():
        raise RecordError(f"{folder} is not a folder; give the one that DKIST_RECORD_FOLDER named when the tasks ran")
    found, unread = _attempts_in(records)
    journal = read_journal(folder) if has_journal else None
    chosen = [
        journal.completed(each) if journal else each
        for each in found
        if recipe_run_id in {None, each.recipe_run_id}
        and workflow in {None, each.workflow}
        and version in {None, each.workflow_version}
    ]
    _check_choice(folder, found, chosen, is_one_version=journal is None)
    items = items_of(chosen, check_files=check_files)
    remarks = [*_remarks_on_attempts(chosen), *_remarks_on_contents(chosen), *_remarks_on_items(items)]
    remarks += [f"{clean(name)} is not a record that can be read; it is left out" for name in unread]
    known = {(each.task, each.try_number) for each in found}
    lost = sorted(
        f"{task} try {number}" for task, number in (journal.ends if journal else ()) if (task, number) not in known
    )
    remarks += [f"the journal has an attempt without a record: {name}" for name in lost]
    return RunRecord(
        folder=records,
        workflow=chosen[0].workflow,
        versions=tuple(dict.fromkeys(each.workflow_version for each in chosen)),
        recipe_run_id=chosen[0].recipe_run_id,
        attempts=tuple(chosen),
        items=items,
        remarks=tuple(remarks),
        engine=f"dkist-build-utils {journal.made_with}".strip() if journal else None,
    )


def _attempts_in(folder: Path) -> tuple[list[RecordedAttempt], list[str]]:
    """Return the attempts of a folder in the order in which they began, and the names of files that hold none."""
    found, unread = [], []
    for path in sorted(path for path in folder.glob("*.jsonl") if path.is_file()):
        attempt = attempt_from_lines(path.name, path.read_bytes().split(b"\n"))
        if attempt is None:
            unread.append(path.name)
        else:
            found.append(attempt)
    return sorted(found, key=lambda each: (each.started, each.file)), unread


def _check_choice(
    folder: Path, found: Sequence[RecordedAttempt], chosen: Sequence[RecordedAttempt], *, is_one_version: bool
) -> None:
    """Refuse what is not one run."""

    def runs(attempts: Iterable[RecordedAttempt]) -> list[tuple[str, str, int]]:
        versions = ((each.workflow_version if is_one_version else "") for each in attempts)
        return sorted({(each.workflow, v, each.recipe_run_id) for each, v in zip(attempts, versions, strict=True)})

    if not found:
        raise RecordError(
            f"{folder} holds no record; set DKIST_RECORD_FOLDER to it for the tasks of a run, then try again"
        )
    if len(runs(chosen)) != 1:
        known = "; ".join(
            f"{name} {version}".strip() + f", recipe run {number}" for name, version, number in runs(chosen or found)
        )
        several = "holds records of several runs; choose one with --recipe-run-id, --workflow or --workflow-version"
        raise RecordError(f"{folder} {several if chosen else 'holds no record of that run'}. It has {known}")


def _remarks_on_attempts(attempts: Sequence[RecordedAttempt]) -> Iterator[str]:
    for each in attempts:
        name = f"{each.task}{'' if each.try_number is None else f' try {each.try_number}'} on {each.host}"
        if each.result is None:
            yield f"{name} {NO_END_REPORTED}: it was killed, or still runs"
        if each.skipped_lines:
            yield f"{clean(each.file)}: {counted(each.skipped_lines, 'line')} cannot be read"


def _remarks_on_contents(attempts: Sequence[RecordedAttempt]) -> Iterator[str]:
    """Yield which inputs were not what a task before had generated."""
    generated: dict[str, tuple[RecordedAttempt, Declaration]] = {}
    in_time = sorted(
        ((each, attempt) for attempt in attempts for each in attempt.declarations), key=lambda pair: pair[0].time
    )
    for each, attempt in in_time:
        if each.direction == "generated":
            generated[each.uri] = (attempt, each)
        elif each.uri in generated:
            maker, made = generated[each.uri]
            pairs = ((each.size, made.size), (each.sha256, made.sha256))
            if any(None not in pair and pair[0] != pair[1] for pair in pairs):
                yield f"{each.uri} was changed after {maker.task} generated it and before {attempt.task} used it"


def _remarks_on_items(items: Sequence[Item]) -> Iterator[str]:
    """Yield what became of files; where there are many of a kind, their number and the first of them."""
    by_state: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        if item.remark:
            by_state[item.remark].append(item)
    for remark, alike in by_state.items():
        others = "" if len(alike) == 1 else f" and {counted(len(alike) - 1, 'other')}"
        yield f"{alike[0].uri}{others}: {remark}"
