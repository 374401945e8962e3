"""The file that gives Airflow a workflow, and the DAG that load() returns."""

from __future__ import annotations

import ast
import enum
import hashlib
import importlib.util
import inspect
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from airflow.serialization.serialized_objects import DagSerialization

from dkist_airflow_node import AirflowNodeError, Lock, render_dag_file
from dkist_airflow_node.dag import body
from dkist_airflow_node.dag.data import _first_paragraph
from dkist_airflow_node.worker import runner_modules, runner_process
from dkist_task import TaskBase
from dkist_workflow import Parameter, ResourceQueue, Workflow, WorkflowError


class Count(enum.IntEnum):
    """A number that does not print as one."""

    TWO = 2


class Parse(TaskBase):
    """A task of all defaults."""

    def run(self) -> None:
        """Do nothing."""


class Dark(TaskBase):
    """A task with every setting."""

    retries = Count.TWO
    retry_delay_seconds = 1.5
    timeout_seconds = 3600

    def run(self) -> None:
        """Do nothing."""


class Gain(TaskBase):
    """A task beside another."""

    def run(self) -> None:
        """Do nothing."""


class Calibrate(TaskBase):
    """A task after two others."""

    def run(self) -> None:
        """Do nothing."""


def make_workflow(**changes: Any) -> Workflow:
    """Return a workflow with a fan-out, a fan-in, a queue and extras."""
    settings: dict[str, Any] = {
        "process_category": "vbi",
        "process_name": "l0_to_l1",
        "workflow_package": "dkist_workflow",
        "workflow_version": "1.2.3",
        "tags": ["night's watch"],
    }
    workflow = Workflow(**(settings | changes))
    workflow.add_node(task=Parse)
    workflow.add_node(task=Dark, upstreams=Parse, resource_queue=ResourceQueue.HIGH_MEMORY)
    workflow.add_node(task=Gain, upstreams=Parse, pip_extras=["quality", "movie"])
    workflow.add_node(task=Calibrate, upstreams=[Dark, Gain])
    return workflow


@pytest.fixture
def import_file(tmp_path: Path) -> Iterator[Callable[[bytes], ModuleType]]:
    """Return a function that writes a DAG file and imports it, as Airflow does."""

    def load(content: bytes) -> ModuleType:
        path = tmp_path / "exported.py"
        path.write_bytes(content)
        spec = importlib.util.spec_from_file_location("exported", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    yield load
    sys.modules.pop("exported", None)


def facts(dag: Any) -> dict[str, Any]:
    """Return all that a DAG is made of, as plain values."""
    return {
        "dag_id": dag.dag_id,
        "description": dag.description,
        "doc": dag.doc_md,
        "tags": dag.tags,
        "schedule": dag.schedule,
        "catchup": dag.catchup,
        "paused": dag.is_paused_upon_creation,
        "max_active_runs": dag.max_active_runs,
        "has_callback": dag.has_on_failure_callback,
        "params": {name: dag.params.get_param(name).dump() for name in dag.params},
        "tasks": {
            task.task_id: {
                name: getattr(task, name)
                for name in (
                    "do_xcom_push",
                    "doc_md",
                    "execution_timeout",
                    "owner",
                    "parameters",
                    "pool",
                    "queue",
                    "retries",
                    "retry_delay",
                    "run_variables",
                    "runner",
                    "template_fields",
                    "trigger_rule",
                    "upstream_task_ids",
                    "variables",
                )
            }
            | {"has_callback": bool(task.on_failure_callback), "type": type(task).__name__}
            for task in dag.tasks
        },
    }


def test_loaded_dag_equals_the_exported_one(import_file: Callable[[bytes], ModuleType], tmp_path: Path) -> None:
    """Tasks, commands, environment, retries, queues, edges: load() and the file agree."""
    workflow = make_workflow()
    exported = import_file(workflow.export(tmp_path).read_bytes()).dag
    assert facts(workflow.load()) == facts(exported)


def test_package_on_the_path_can_be_loaded_but_not_exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who looks at edges needs no installed distribution and no version of a release; a file needs both."""
    package = tmp_path / "merely_on_the_path"
    package.mkdir()
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    installed = facts(make_workflow().load())
    for name, version, error in (
        (package.name, "1.2.3", "no installed distribution holds the package"),
        ("dkist_airflow_node", "night", "cannot be the version of a released"),
    ):
        workflow = Workflow("vbi", "l0_to_l1", name, version)
        for node in make_workflow().nodes:
            tasks = {each.name: each.task for each in make_workflow().nodes}
            workflow.add_node(node.task, [tasks[upstream] for upstream in node.upstream_names])
        dag = workflow.load()
        assert {task.task_id: task.upstream_task_ids for task in dag.tasks} == {
            task: known["upstream_task_ids"] for task, known in installed["tasks"].items()
        }
        assert not any("DKIST_REQUIREMENT" in task.variables for task in dag.tasks)
        with pytest.raises((AirflowNodeError, WorkflowError), match=error):
            workflow.export(tmp_path / "dags")
        assert not (tmp_path / "dags").exists()


def test_dag_is_what_the_contract_says() -> None:
    """Every setting that another system relies on is there."""
    dag = facts(make_workflow().load())
    assert dag["dag_id"] == "vbi_l0_to_l1_1.2.3"
    assert dag["tags"] == {"vbi", "l0_to_l1", "vbi_l0_to_l1", "1.2.3", "night's watch"}
    assert (dag["schedule"], dag["catchup"], dag["paused"]) == (None, False, False)
    assert dag["max_active_runs"] == 100
    assert dag["has_callback"]
    schema = dag["params"]["recipe_run_id"]["__class"], dag["params"]["recipe_run_id"]
    assert schema[1]["schema"]["type"] == "integer"
    assert schema[1]["schema"]["minimum"] == 1
    assert schema[1]["value"] is None
    dark, gain = dag["tasks"]["Dark"], dag["tasks"]["Gain"]
    assert (dark["retries"], dark["retry_delay"].total_seconds()) == (2, 1.5)
    assert dark["execution_timeout"].total_seconds() == 3600
    assert (dark["queue"], dark["pool"]) == ("high_memory", "high_memory_pool")
    assert (gain["queue"], gain["pool"], gain["execution_timeout"]) == ("default", "default_pool", None)
    assert dag["tasks"]["Calibrate"]["upstream_task_ids"] == {"Dark", "Gain"}
    for task in dag["tasks"].values():
        assert task["type"] == "DkistTask"
        assert task["runner"] == runner_modules()
        assert not task["do_xcom_push"]
        assert task["trigger_rule"] == "none_failed"
        assert task["owner"] == "DKIST Data Center"
        assert task["has_callback"]
        assert task["template_fields"] == ("run_variables",)
        assert task["run_variables"] == {
            "DKIST_RECIPE_RUN_ID": "{{ params.recipe_run_id | int }}",
            "DKIST_TRY_NUMBER": "{{ ti.try_number }}",
            "TRACEPARENT": "{{ (ti.context_carrier | default({}, true)).get('traceparent') | default('', true) }}",
            "TRACESTATE": "{{ (ti.context_carrier | default({}, true)).get('tracestate') | default('', true) }}",
        }
    assert gain["variables"] == {
        "DKIST_TASK": f"{__name__}:Gain",
        "DKIST_TASK_NAME": "Gain",
        "DKIST_REQUIREMENT": "dkist-workflow[movie,quality]==1.2.3",
        "DKIST_PYTHON": f"{sys.version_info.major}.{sys.version_info.minor}",
        "DKIST_WORKFLOW_NAME": "vbi_l0_to_l1",
        "DKIST_WORKFLOW_VERSION": "1.2.3",
        "OTEL_SERVICE_NAME": "vbi_l0_to_l1",
    }


def test_parameters_are_what_the_form_checks(import_file: Callable[[bytes], ModuleType]) -> None:
    """Type, default, bounds, choices and description are in the file; a text may be left empty in the form."""
    parameters = [
        Parameter("frame_bins", int, 4, minimum=1, maximum=8, description="Pixels that become one."),
        Parameter("threshold", float, 1),
        Parameter("filter_name", str, "red", choices=["red", "blue"]),
        Parameter("note", str, ""),
    ]
    content = render_dag_file(make_workflow(parameters=parameters))
    exported = import_file(content).dag
    assert facts(exported) == facts(make_workflow(parameters=parameters).load())
    params = {name: exported.params.get_param(name) for name in exported.params}
    assert list(params) == ["recipe_run_id", "frame_bins", "threshold", "filter_name", "note"]
    assert params["frame_bins"].description == "Pixels that become one."
    schema = {"type": "integer", "minimum": 1, "maximum": 8, "title": "Frame bins"}
    assert (params["frame_bins"].value, params["frame_bins"].schema) == (4, schema)
    assert params["threshold"].schema == {"type": "number", "title": "Threshold"}
    assert params["filter_name"].schema == {"type": "string", "enum": ["red", "blue"], "title": "Filter name"}
    assert params["note"].schema == {"type": ["string", "null"], "title": "Note"}
    assert exported.get_task("Parse").parameters["threshold"] == "number"
    assert "'parameters'" not in render_dag_file(make_workflow()).decode().partition("WORKFLOW = ")[2]


def test_class_runs_under_the_names_of_its_tasks() -> None:
    """A class that a workflow uses twice gets the name that it runs under."""
    workflow = make_workflow()
    workflow.add_node(task=Parse, name="ParseAgain", upstreams=Calibrate)
    variables = {task.task_id: task.variables for task in workflow.load().tasks}
    assert variables["Parse"]["DKIST_TASK"] == variables["ParseAgain"]["DKIST_TASK"]
    assert [variables[name]["DKIST_TASK_NAME"] for name in ("Parse", "ParseAgain")] == ["Parse", "ParseAgain"]


def test_people_read_what_a_workflow_and_a_task_are_for() -> None:
    """Descriptions come from the workflow and the first paragraphs of docstrings; a task's base class is not asked."""

    class Bare(Gain):
        def run(self) -> None:
            """Do nothing."""

    text = """
    Frames to science.

    Each *night* is calibrated on its own.
    """
    dag = facts(make_workflow(description=text).load())
    assert dag["description"] == "Frames to science."
    assert dag["doc"].startswith("Frames to science.\n\nEach *night* is calibrated on its own.\n\nAirflow must have")
    assert dag["tasks"]["Dark"]["doc_md"] == "A task with every setting."
    assert _first_paragraph(Bare.__doc__) == ""
    dag = facts(make_workflow().load())
    assert dag["description"] == "vbi_l0_to_l1, version 1.2.3"
    assert dag["doc"].startswith("Airflow must have these pools, or tasks stay *scheduled* for ever: high_memory_pool")


def test_people_read_which_pools_and_environments_a_workflow_needs(
    import_file: Callable[[bytes], ModuleType],
) -> None:
    """The page of a DAG names the pools, if any, and once for each environment its lock and its tasks."""
    lock, other = Lock("requirements.txt", "a" * 64), Lock("requirements.movie+quality.txt", "b" * 64)
    locks = {(): lock, ("movie", "quality"): other}
    dag = import_file(render_dag_file(make_workflow(), locks=locks, python="3.12")).dag
    assert dag.doc_md.splitlines()[-4:] == [
        "Environments of the tasks, with Python 3.12:",
        "",
        "- requirements.txt, SHA-256 aaaaaaaaaaaa...: Parse, Dark, Calibrate",
        "- requirements.movie+quality.txt, SHA-256 bbbbbbbbbbbb...: Gain",
    ]
    plain = Workflow("vbi", "plain", "dkist_workflow", "1.2.3")
    plain.add_node(task=Parse)
    doc = facts(plain.load())["doc"]
    assert "pool" not in doc
    assert doc.endswith("- dkist-workflow==1.2.3, no lock: Parse")


def test_lists_of_task_instances_show_the_recipe_run() -> None:
    """Airflow renders this template for each task instance, and shows it in a column and in its filters."""
    for task in make_workflow().load().tasks:
        assert task.map_index_template == "recipe run {{ params.recipe_run_id }}"


def test_database_gets_little_of_a_task(import_file: Callable[[bytes], ModuleType]) -> None:
    """The runner's text and constant variables stay in the file: the database has each task of each version."""
    lock = Lock("requirements.txt", "a" * 64)
    locks = {(): lock, ("movie", "quality"): lock}
    dag = import_file(render_dag_file(make_workflow(), locks=locks)).dag
    serialised = json.dumps(DagSerialization.to_dict(dag)["dag"]["tasks"])
    assert "DKIST_LOCK_SHA256" not in serialised
    assert "recipe_run_id" in dag.params
    assert all(not task.params for task in dag.tasks)
    # What Airflow 3.0 stores besides: the source of each task's callback.
    source = inspect.getsource(dag.get_task("Parse").on_failure_callback[0])
    assert len(serialised) / len(dag.tasks) + len(json.dumps(source)) <= 1000


def test_tasks_run_against_the_locks_of_their_extras(import_file: Callable[[bytes], ModuleType]) -> None:
    """Each task names the lock of its own extras, beside the DAG file, and its digest."""
    locks = {
        (): Lock("requirements.txt", "a" * 64),
        ("movie", "quality"): Lock("requirements.movie+quality.txt", "b" * 64),
    }
    dag = import_file(render_dag_file(make_workflow(), locks=locks, python="3.12")).dag
    # Rendered when the task runs, so that the folder is the worker's.
    assert dag.get_task("Dark").run_variables["DKIST_LOCK"] == "{{ dag.folder }}/requirements.txt"
    assert dag.get_task("Gain").run_variables["DKIST_LOCK"] == "{{ dag.folder }}/requirements.movie+quality.txt"
    dark, gain = dag.get_task("Dark").variables, dag.get_task("Gain").variables
    assert dark["DKIST_LOCK_SHA256"] == "a" * 64
    assert gain["DKIST_LOCK_SHA256"] == "b" * 64
    assert dark["DKIST_PYTHON"] == gain["DKIST_PYTHON"] == "3.12"
    assert "DKIST_REQUIREMENT" not in dark
    with pytest.raises(AirflowNodeError, match=r"task 'Gain': there is no lock for its extras \(movie, quality\)"):
        render_dag_file(make_workflow(), locks={(): locks[()]})


def test_bytes_are_the_same_whatever_the_hash_seed(tmp_path: Path) -> None:
    """Two exports in two processes are the same bytes."""
    program = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_dag_file import make_workflow
make_workflow().export(sys.argv[1])
"""
    digests = set()
    for seed in ("0", "1", "4711"):
        folder = tmp_path / seed
        environment = {**os.environ, "PYTHONHASHSEED": seed, "TZ": f"UTC{seed[0]}"}
        subprocess.run([sys.executable, "-c", program, folder], env=environment, check=True, timeout=300)
        digests.add(hashlib.sha256((folder / "vbi_l0_to_l1_1.2.3.py").read_bytes()).hexdigest())
    assert len(digests) == 1


def test_file_imports_airflow_and_the_standard_library_only() -> None:
    """Whatever the host has of ours, the file parses; what it wants of ours is wanted when the callback is called."""
    tree = ast.parse(render_dag_file(make_workflow()))
    at_import = {
        name.partition(".")[0]
        for node in tree.body
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [str(node.module)]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert at_import <= {"__future__", "airflow", *sys.stdlib_module_names}


def test_data_are_literals() -> None:
    """Nothing that a workflow says becomes code, whatever quotes it holds."""
    content = render_dag_file(make_workflow(tags=["'''", '"""', "{{ 7 * 7 }}", "\\", "é☀"]))
    assigned = {
        target.id: node.value
        for node in ast.parse(content).body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    assert ast.literal_eval(assigned["RUNNER"]) == runner_modules()
    assert {"'''", '"""', "{{ 7 * 7 }}", "\\", "é☀"} < set(ast.literal_eval(assigned["WORKFLOW"])["tags"])
    assert [task["task_id"] for task in ast.literal_eval(assigned["TASKS"])] == ["Parse", "Dark", "Gain", "Calibrate"]


def test_missing_distribution_is_told_and_nothing_is_written(tmp_path: Path) -> None:
    """A workflow whose package no distribution installs has no release to make environments from."""
    workflow = make_workflow(workflow_package="no_such_package")
    with pytest.raises(WorkflowError, match="workflow 'vbi_l0_to_l1': the package 'no_such_package' cannot be"):
        workflow.export(tmp_path / "dags")
    assert list(tmp_path.iterdir()) == []


def test_version_that_no_release_can_have_is_told(tmp_path: Path) -> None:
    """Without a lock the version is what the worker installs."""
    with pytest.raises(AirflowNodeError, match="'vbi_l0_to_l1': version 'my-branch' cannot be the version of a rele"):
        make_workflow(workflow_version="my-branch").export(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_development_version_asks_for_the_installed_release() -> None:
    """Version 'dev' is what the developer has installed."""
    from dkist_workflow.__about__ import __version__  # only here

    dag = make_workflow(workflow_version="dev").load()
    assert dag.get_task("Parse").variables["DKIST_REQUIREMENT"] == f"dkist-workflow=={__version__}"


def test_export_replaces_a_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    """A second export is the same one file; a folder that is missing is made."""
    folder = tmp_path / "new" / "dags"
    path = make_workflow().export(folder)
    path.write_text("old")
    assert make_workflow().export(str(folder)) == path
    assert path.read_bytes() == render_dag_file(make_workflow())
    assert [entry.name for entry in folder.iterdir()] == ["vbi_l0_to_l1_1.2.3.py"]


def test_callback_on_a_host_without_us_says_what_is_missing(
    import_file: Callable[[bytes], ModuleType], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The callback of a host with Airflow alone neither raises nor keeps silent."""
    dag = import_file(render_dag_file(make_workflow())).dag
    monkeypatch.setitem(sys.modules, "dkist_airflow_node", None)
    with caplog.at_level(logging.ERROR):
        for callback in (dag.on_failure_callback, dag.get_task("Parse").on_failure_callback[0]):
            callback({})
    assert caplog.text.count("dkist-airflow-node cannot be imported") == 2


def test_every_starter_starts_the_runner_alike() -> None:
    """The operator's file has a copy of the program that imports the runner's modules."""
    assert body.START == runner_process.START
