"""The workflows in the public modules of a package."""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import pkgutil
import posix
import sys
import traceback
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from dkist_build_utils.errors import Fault
from dkist_workflow import Workflow, WorkflowError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType


@dataclass(frozen=True)
class FoundWorkflow:
    """A workflow and the public names under which it was found."""

    workflow: Workflow
    """The object itself: if several modules import it, it is found once."""
    places: tuple[str, ...]
    """``module.name`` of each place, in the order of the modules' names."""


@dataclass(frozen=True)
class Discovery:
    """What a package holds."""

    package: str
    """The dotted name of the package."""
    workflows: tuple[FoundWorkflow, ...]
    """Sorted by DAG id."""
    faults: tuple[Fault, ...]
    """Modules that do not import, no workflow at all, and DAG ids that two workflows share."""


def discover_workflows(workflow_package: ModuleType | str) -> Discovery:
    """Import every public module of a package and collect its workflows.

    A module, or a name in it, is public if no part of it begins with an underscore. What the modules print goes to
    standard error.

    Parameters
    ----------
    workflow_package : module or str
        The package or module, or its dotted name.
    """
    faults: list[Fault] = []
    places: dict[int, list[str]] = defaultdict(list)
    workflows: dict[int, Workflow] = {}
    package = workflow_package if isinstance(workflow_package, str) else workflow_package.__name__
    with contextlib.redirect_stdout(sys.stderr), _exits_raised(), _no_garbage_collected():
        for module in _public_modules(workflow_package, faults):
            for name, value in vars(module).items():
                if name.startswith("_"):
                    continue
                for place, workflow in _workflows_in(name, value):
                    workflows[id(workflow)] = workflow
                    places[id(workflow)].append(f"{module.__name__}.{place}")
    found = sorted(
        (FoundWorkflow(workflow, tuple(places[key])) for key, workflow in workflows.items()),
        key=lambda each: (each.workflow.dag_id, each.places),
    )
    if not found and not faults:
        faults.append(
            Fault(
                package,
                None,
                "no public module holds a Workflow; bind one to a name at the top level of a module "
                "(names that begin with '_' are skipped)",
            )
        )
    return Discovery(package, tuple(found), (*faults, *_shared_dag_ids(found)))


def _workflows_in(name: str, value: object) -> Iterator[tuple[str, Workflow]]:
    """Yield each workflow that a name is bound to, itself or in a tuple, list or dict, and how it is reached."""
    if isinstance(value, Workflow):
        yield name, value
    elif isinstance(value, tuple | list):
        yield from ((f"{name}[{place}]", each) for place, each in enumerate(value) if isinstance(each, Workflow))
    elif isinstance(value, dict):
        yield from ((f"{name}[{key!r}]", each) for key, each in value.items() if isinstance(each, Workflow))


def _shared_dag_ids(found: list[FoundWorkflow]) -> Iterator[Fault]:
    """Yield a fault for each DAG id, and so each file name, that two workflows share."""
    first: dict[str, FoundWorkflow] = {}
    for each in found:
        dag_id = each.workflow.dag_id
        # Regardless of case, because the files may pass through a file system that ignores case.
        other = first.setdefault(dag_id.casefold(), each)
        if other is not each:
            same = "have this DAG id" if other.workflow.dag_id == dag_id else "have DAG ids that differ only in case"
            yield Fault(dag_id, None, f"two workflows {same}: {other.places[0]} and {each.places[0]}; rename one")


def _public_modules(workflow_package: ModuleType | str, faults: list[Fault]) -> Iterator[ModuleType]:
    """Yield the package and its public modules, the package first; record a fault for each that does not import."""
    if isinstance(workflow_package, str):
        module = _imported(workflow_package, faults)
        if module is None:
            return
    else:
        module = workflow_package
    yield module
    for name in _public_submodules(module):
        yield from _public_modules(f"{module.__name__}.{name}", faults)


def _public_submodules(module: ModuleType) -> list[str]:
    """Return the names of the public modules directly in a package; none if the module is not a package."""
    locations = list(getattr(module, "__path__", ()))
    names = {info.name for info in pkgutil.iter_modules(locations)}
    # Folders without an __init__.py can be imported as well, but pkgutil skips them.
    names.update(
        folder.name
        for location in locations
        if Path(location).is_dir()
        for folder in Path(location).iterdir()
        if folder.name.isidentifier() and folder.is_dir() and any(folder.glob("*.py"))
    )
    return sorted(name for name in names if not name.startswith("_"))


@contextlib.contextmanager
def _exits_raised() -> Iterator[None]:
    """Make ``os._exit`` raise SystemExit: a module that calls it would end this process, and a build, with success.

    It has a second name, ``posix._exit``.
    """
    real, own = os._exit, os.getpid()

    def raise_exit(status: int) -> NoReturn:
        if os.getpid() != own:  # a forked child may end this way
            real(status)
        raise SystemExit(f"os._exit({status}); a module must do nothing but define things when imported")

    for module in (os, posix):
        setattr(module, real.__name__, raise_exit)
    try:
        yield
    finally:
        for module in (os, posix):
            setattr(module, real.__name__, real)


@contextlib.contextmanager
def _no_garbage_collected() -> Iterator[None]:
    """Let no garbage be collected: what an import makes stays, and looking through it takes an eighth of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _imported(name: str, faults: list[Fault]) -> ModuleType | None:
    if not all(part.isidentifier() for part in name.split(".")):
        faults.append(Fault(name, None, "it is not the dotted name of a package, such as my_instrument.workflows"))
        return None
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        faults.append(Fault(name, None, _why_not_imported(name, error)))
        return None


def _why_not_imported(name: str, error: BaseException) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name is not None and f"{name}.".startswith(f"{error.name}."):
        return f"there is no module {error.name!r} in this environment; install the distribution that holds it"
    cause = str(error) if isinstance(error, WorkflowError) else f"{type(error).__name__}: {error}"
    remedy = "; fix the import, or install what it needs here as well" if isinstance(error, ModuleNotFoundError) else ""
    return f"the module does not import: {cause}{_place_of(name, error)}{remedy}"


def _place_of(name: str, error: BaseException) -> str:
    """Return the line that raised an error: the last one of the package itself, if there is one."""
    folder = f"/{name.partition('.')[0]}/"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "importlib" not in frame.filename]
    frames = [frame for frame in frames if frame.filename != __file__]
    own = [frame for frame in frames if folder in frame.filename] or frames
    if isinstance(error, SyntaxError) and error.filename is not None and folder in error.filename:
        return f" ({error.filename.rpartition(folder)[2]}:{error.lineno})"
    return f" ({own[-1].filename.rpartition(folder)[2]}:{own[-1].lineno})" if own else ""
