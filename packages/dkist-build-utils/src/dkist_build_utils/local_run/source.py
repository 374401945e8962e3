"""Where a workflow comes from: a package that can be imported here."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import sys
import sysconfig
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dkist_build_utils.errors import BuildError
from dkist_build_utils.local_run.attempt import Fingerprint
from dkist_build_utils.local_run.plan import LocalTask, LocalWorkflow
from dkist_build_utils.pictures import named_workflows
from dkist_workflow import Workflow, WorkflowError, distribution_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import ModuleType

    from dkist_workflow import Parameter


VARIABLES_OF_ONE_TASK = frozenset(
    f"DKIST_{name}"
    for name in ("PARAMETERS", "LOCK", "LOCK_SHA256", "REQUIREMENT", "OUTCOME_FILE", "STOP_FILE", "RECORD_FILE")
)
"""Set for a task only where they are true of it: one that is inherited would be taken for its own."""


def workflow_of_package(package: ModuleType | str, name: str | None = None) -> Workflow:
    """Return the workflow of a package, or the one of a name where it holds several.

    Raises
    ------
    BuildError
        There is none, or there are several and none is named.
    """
    found = named_workflows(package, name)
    if len(found) > 1:
        names = ", ".join(workflow.workflow_name for workflow in found)
        raise BuildError(f"the package holds several workflows: {names}; name one as PACKAGE:WORKFLOW")
    return found[0]


def local_workflow(workflow: Workflow, parameters: Mapping[str, object] | None = None) -> LocalWorkflow:
    """Return a workflow as this environment runs it.

    Parameters
    ----------
    workflow : Workflow
        The workflow.
    parameters : mapping, optional
        Values of parameters that it declares, as their type or as text; the others have their default.

    Raises
    ------
    BuildError
        It has no task, or does not declare a parameter.
    WorkflowError
        A value is one that its parameter cannot have.
    """
    if not workflow.nodes:
        raise BuildError(f"workflow {workflow.workflow_name!r} has no task; add one with add_node")
    values = parameter_values(workflow.workflow_name, workflow.parameters, parameters or {})
    environment = f"Python {platform.python_version()}"
    tasks = [
        LocalTask(
            name=node.name,
            upstreams=node.upstream_names,
            settings=node.settings,
            fingerprint=Fingerprint(
                entry_point=node.entry_point,
                distribution=_distribution_at(node.task.__module__),
                source=_source_digest(node.task.__module__),
                environment=environment,
                parameters=values,
            ),
            variables={"DKIST_TASK": node.entry_point, "DKIST_TASK_NAME": node.name},
        )
        for node in workflow.nodes
    ]
    variables = variables_of_parameters(values)
    return LocalWorkflow(workflow.workflow_name, workflow.workflow_version, tuple(tasks), variables)


def parameter_values(workflow: str, parameters: Iterable[Parameter], given: Mapping[str, object]) -> dict[str, Any]:
    """Return a value for each parameter that a workflow declares: the one that is given, or the default.

    Raises
    ------
    BuildError
        The workflow does not declare a parameter.
    WorkflowError
        A value is one that its parameter cannot have.
    """
    declared = {parameter.name: parameter for parameter in parameters}
    for name in given:
        if name not in declared:
            known = f"it has {', '.join(declared)}" if declared else "it declares none"
            raise BuildError(f"workflow {workflow!r} has no parameter {name!r}; {known}")
    values: dict[str, Any] = {name: parameter.default for name, parameter in declared.items()}
    for name, value in given.items():
        parameter = declared[name]
        values[name] = parameter.value_from(value) if isinstance(value, str) else parameter.check(value)
    return values


def variables_of_parameters(values: Mapping[str, object]) -> dict[str, str]:
    """Return the variable that hands values of parameters to every task; none where there are no parameters."""
    return {"DKIST_PARAMETERS": json.dumps(values)} if values else {}


def environ_of_tasks() -> dict[str, str]:
    """Return the variables of a task in this environment: what is imported here is found there too.

    What a task of another run was given, where it is that which starts this run, is left out.
    """
    own = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    added = [os.path.abspath(entry) for entry in sys.path if entry not in own]  # noqa: PTH100 '' is the working folder
    path = [entry for entry in added if not entry.endswith((".zip", "lib-dynload"))]
    passed = {name: value for name, value in os.environ.items() if name not in VARIABLES_OF_ONE_TASK}
    return {**passed, "PYTHONPATH": os.pathsep.join(dict.fromkeys(path))}


def _source_digest(module_name: str) -> str:
    """Return the SHA-256 of a module's source, empty where it has none."""
    file = getattr(sys.modules.get(module_name), "__file__", None)
    try:
        return hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else ""
    except OSError:
        return ""


def _distribution_at(module_name: str) -> str:
    """Return name and version of the distribution that holds a module, empty where none does."""
    return _distribution_of_package(module_name.rpartition(".")[0] or module_name)


@cache
def _distribution_of_package(package: str) -> str:
    try:
        name = distribution_of(package)
    except WorkflowError:
        return ""
    return f"{name} {importlib.metadata.version(name)}"
