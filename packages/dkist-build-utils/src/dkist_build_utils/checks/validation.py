"""All faults of a package of workflows, found before anything is written."""

from __future__ import annotations

import logging
import sys
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.version import InvalidVersion, Version

from dkist_airflow_node import AirflowNodeError, Lock, render_dag_file
from dkist_build_utils.checks.airflow_check import airflow_errors
from dkist_build_utils.checks.discovery import Discovery, FoundWorkflow, discover_workflows
from dkist_build_utils.checks.function_import import missing_imports
from dkist_build_utils.checks.import_check import ImportEnvironment, imitated_import_faults
from dkist_build_utils.checks.requirement import (
    are_requirements_installed,
    extras_of,
    extras_with,
    modules_absent_from,
)
from dkist_build_utils.checks.setting_name import setting_name_problems
from dkist_build_utils.checks.step import timed_step
from dkist_build_utils.errors import Fault, FaultsError, counted
from dkist_build_utils.programs import is_airflow_installed
from dkist_workflow import DEVELOPMENT_VERSION, Node, Workflow, WorkflowError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from types import ModuleType

    from dkist_task import TaskBase

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class Validation:
    """What a package holds and what is wrong with it."""

    package: str
    """The dotted name of the package."""
    workflows: tuple[FoundWorkflow, ...]
    """All that were found, sorted by DAG id."""
    faults: tuple[Fault, ...]
    """All faults; empty if the package can be released."""
    is_loaded_in_airflow: bool
    """Whether a real Airflow has loaded the files; False if it is not installed or was not to be used."""


def validate_workflows(workflow_package: ModuleType | str, *, airflow: bool | None = None) -> Validation:
    """Check every workflow of a package and raise one error that lists all faults.

    Parameters
    ----------
    workflow_package : module or str
        The package, or its dotted name.
    airflow : bool, optional
        Whether to load the exported files in a real Airflow, in a process of its own. By default: if Airflow is
        installed.

    Returns
    -------
    Validation
        What was found; its ``faults`` are empty.

    Raises
    ------
    FaultsError
        The package has faults; they are in ``faults``.
    BuildError
        Airflow was asked for and does not start.
    """
    validation = validation_of(workflow_package, airflow=airflow)
    if validation.faults:
        raise FaultsError(f"package {validation.package!r}", validation.faults)
    return validation


def validation_of(workflow_package: ModuleType | str, *, airflow: bool | None = None) -> Validation:
    """Return what `validate_workflows` finds, faults included."""
    discovery = _discovered(workflow_package)
    faults, files = _checked(discovery)
    asks_airflow = is_airflow_installed() if airflow is None else airflow
    if asks_airflow and files:
        with timed_step(_LOGGER, f"loading {counted(len(files), 'file')} in Airflow"):
            errors = airflow_errors(files)
        faults += [Fault(name.removesuffix(".py"), None, f"in Airflow: {text}") for name, text in errors.items()]
    return Validation(discovery.package, discovery.workflows, tuple(faults), asks_airflow and bool(files))


def checked_workflows(workflow_package: ModuleType | str) -> tuple[Workflow, ...]:
    """Return the workflows of a package, checked without Airflow; FaultsError if it has a fault.

    The tasks are not imported as their environments would: an export does that in the environments themselves, or by
    `check_imports`.
    """
    discovery = _discovered(workflow_package)
    faults, _ = _checked(discovery, imports_tasks=False)
    if faults:
        raise FaultsError(f"package {discovery.package!r}", faults)
    return tuple(each.workflow for each in discovery.workflows)


def check_imports(workflows: Sequence[Workflow]) -> None:
    """Import every task with only what its environment will hold; FaultsError if one cannot be imported."""
    distribution = workflows[0].distribution
    faults = list(_shared_faults(_import_problems(distribution, workflows)))
    if faults:
        raise FaultsError(f"the tasks of {distribution!r}", faults)


def _discovered(workflow_package: ModuleType | str) -> Discovery:
    with timed_step(_LOGGER, f"importing the workflows of {getattr(workflow_package, '__name__', workflow_package)}"):
        return discover_workflows(workflow_package)


def _checked(discovery: Discovery, *, imports_tasks: bool = True) -> tuple[list[Fault], dict[str, bytes]]:
    """Return the faults, and the DAG files of the workflows without faults."""
    faults = list(discovery.faults)
    files: dict[str, bytes] = {}
    held: dict[str, list[Workflow]] = defaultdict(list)
    for workflow in (each.workflow for each in discovery.workflows):
        found = list(_workflow_faults(workflow))
        if not found:
            held[workflow.distribution].append(workflow)
            try:
                files[f"{workflow.dag_id}.py"] = _rendered(workflow)
            except (AirflowNodeError, WorkflowError) as error:
                found.append(Fault(workflow.dag_id, None, str(error)))
        faults += found
    faults += _release_faults(discovery.package, held)
    faults += [fault for name, content in files.items() for fault in _compile_faults(name, content)]
    for distribution, workflows in held.items():
        faults += _task_faults(distribution, workflows, imports_tasks=imports_tasks)
    return faults, files


def _workflow_faults(workflow: Workflow) -> Iterator[Fault]:
    """Yield the faults of one workflow by itself."""
    where = workflow.dag_id
    if not workflow.nodes:
        yield Fault(where, None, "the workflow has no task; add one with add_node")
    if where.startswith((".", "-")):
        yield Fault(where, None, "a file of a release cannot begin with '.' or '-'; change process_category")
    if not _is_releasable(workflow.workflow_version):
        yield Fault(
            where,
            None,
            f"version {workflow.workflow_version!r} cannot be the version of a wheel (PEP 440); "
            "set BUILD_VERSION to the version of the release, or leave it unset for 'dev'",
        )
    try:
        known = extras_of(workflow.distribution)
    except WorkflowError as error:
        yield Fault(where, None, str(error).removeprefix(f"workflow {workflow.workflow_name!r}: "))
        return
    for node in workflow.nodes:
        for extra in sorted(set(node.pip_extras) - known):
            choice = f"it has {', '.join(sorted(known))}" if known else "it has none"
            yield Fault(
                where, node.name, f"the distribution {workflow.distribution!r} has no extra {extra!r}; {choice}"
            )


def _is_releasable(version: str) -> bool:
    try:
        Version(version)
    except InvalidVersion:
        return version == DEVELOPMENT_VERSION
    return True


def _rendered(workflow: Workflow) -> bytes:
    """Return the DAG file as it will be, except for the digests of locks: those are not made yet."""
    return render_dag_file(
        workflow, locks={node.pip_extras: Lock("requirements.txt", "0" * 64) for node in workflow.nodes}
    )


def _release_faults(package: str, held: dict[str, list[Workflow]]) -> Iterator[Fault]:
    """Yield a fault if the workflows cannot be one release: one distribution in one version."""
    if len(held) > 1:
        places = "; ".join(f"{name}: {workflows[0].dag_id}" for name, workflows in sorted(held.items()))
        yield Fault(package, None, f"its workflows belong to several distributions ({places}); release each by itself")
    versions = {workflow.workflow_version: workflow for workflows in held.values() for workflow in workflows}
    if len(versions) > 1:
        places = "; ".join(f"{version}: {workflow.dag_id}" for version, workflow in sorted(versions.items()))
        yield Fault(
            package,
            None,
            f"its workflows have several versions ({places}); leave workflow_version to BUILD_VERSION in all of them",
        )


def _compile_faults(name: str, content: bytes) -> Iterator[Fault]:
    try:
        compile(content, name, "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        yield Fault(name.removesuffix(".py"), None, f"the exported file does not compile: {error}")


def _task_faults(distribution: str, workflows: Sequence[Workflow], *, imports_tasks: bool) -> Iterator[Fault]:
    """Yield the faults that tasks would have in their environments."""
    with ThreadPoolExecutor(max_workers=1) as pool:  # the imports are tried by another process meanwhile
        tried = pool.submit(list, _import_problems(distribution, workflows)) if imports_tasks else None
        problems = [*_setting_problems(workflows), *_function_problems(distribution, workflows)]
        problems += tried.result() if tried is not None else []
    yield from _shared_faults(problems)


def _shared_faults(problems: Iterable[tuple[str, Workflow, Node]]) -> Iterator[Fault]:
    """Yield a fault for each problem; a problem that tasks share is one fault."""
    users: dict[str, list[tuple[Workflow, Node]]] = defaultdict(list)
    for problem, workflow, node in problems:
        users[problem].append((workflow, node))
    for problem, ((workflow, node), *others) in users.items():
        also = ", ".join(sorted({other.name for _, other in others} - {node.name}))
        yield Fault(workflow.dag_id, node.name, f"{problem}; the same fault in {also}" if also else problem)


def _setting_problems(workflows: Iterable[Workflow]) -> Iterator[tuple[str, Workflow, Node]]:
    """Yield each class attribute that is nearly a setting."""
    for workflow in workflows:
        for node in workflow.nodes:
            for problem in setting_name_problems(node.task):
                yield problem, workflow, node


def _function_problems(distribution: str, workflows: Iterable[Workflow]) -> Iterator[tuple[str, Workflow, Node]]:
    """Yield each import inside a function that will fail in the environment of a task."""
    users: dict[tuple[type[TaskBase], tuple[str, ...]], tuple[Workflow, Node]] = {}
    for workflow in workflows:
        for node in workflow.nodes:
            users.setdefault((node.task, node.pip_extras), (workflow, node))
    for (task, extras), (workflow, node) in users.items():
        absent = modules_absent_from(distribution, extras)
        for each in missing_imports(task, absent, is_all_known=are_requirements_installed(distribution, extras)):
            top = each.module.partition(".")[0]
            held = f" (of {absent[top]})" if top in absent else ""
            yield (
                f"{each.place} imports {each.module!r}{held} for {each.function!r}, which its environment will not "
                f"have; {_cure(distribution, top, extras)}",
                workflow,
                node,
            )


def _cure(distribution: str, module: str, extras: tuple[str, ...]) -> str:
    """Return what to do so that an environment has a module."""
    fitting = extras_with(distribution, module)
    if not fitting:
        return f"add what holds {module!r} to the dependencies of {distribution!r}, or to an extra for pip_extras"
    return " or ".join(f"add pip_extras={[*extras, extra]!r}" for extra in fitting)


def _import_problems(distribution: str, workflows: Iterable[Workflow]) -> Iterator[tuple[str, Workflow, Node]]:
    """Yield the tasks that cannot be imported by name with only what their environments will hold."""
    users: dict[tuple[str, ...], dict[str, list[tuple[Workflow, Node]]]] = defaultdict(lambda: defaultdict(list))
    for workflow in workflows:
        for node in workflow.nodes:
            users[node.pip_extras][node.entry_point].append((workflow, node))
    # The set without extras first: it has the most tasks, and names a fault that the others share.
    wanted = sorted(users)
    text = f"importing {counted(sum(map(len, users.values())), 'task')} as {counted(len(wanted), 'environment')} would"
    with timed_step(_LOGGER, text):
        found = imitated_import_faults(
            sys.executable,
            [
                ImportEnvironment(tuple(sorted(users[extras])), modules_absent_from(distribution, extras))
                for extras in wanted
            ],
            distribution=distribution,
            path=[str(Path(entry).absolute()) for entry in sys.path],
        )
    for extras, problems in zip(wanted, found, strict=True):
        for entry_point, problem in problems.items():
            yield problem, *users[extras][entry_point][0]
