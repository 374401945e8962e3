"""A workflow as an Airflow DAG: each task runs in a Python environment of its own.

The text of this module is the fixed part of every exported DAG file, which goes on with the workflow's data and the
text of the runner. It imports Airflow and the standard library only, and works on every Airflow 3. The operator starts
the runner, logs what it writes, and reports to Airflow how the task ended; the runner does everything else.
"""

from __future__ import annotations

import contextvars
import json
import logging
import marshal
import os
import queue
import subprocess
import sys
import threading
from datetime import timedelta
from typing import Any

import airflow.exceptions
import airflow.sdk.exceptions
from airflow.sdk import DAG, BaseOperator, Param

MOVED: Any = airflow.sdk.exceptions if hasattr(airflow.sdk.exceptions, "AirflowTaskTimeout") else airflow.exceptions
"""Where this Airflow has the exceptions that mean something to it: 3.2 moved them, and warns of the old place."""

RUNNER_VARIABLES = frozenset({"LANG", "LD_LIBRARY_PATH", "PATH", "TMPDIR", "TZ"})
"""What the runner itself needs, besides ``LC_*``: its environment can be read by others, so no secret may be in it."""

START = """
import marshal, os, sys

size = int.from_bytes(os.read(0, 4), "big")
data = b""
while len(data) < size:
    data += os.read(0, size - len(data)) or sys.exit("the runner was not handed over")


class Modules(dict):
    def find_spec(self, name, path=None, target=None):
        is_package = any(other.startswith(name + ".") for other in self)
        return type(sys.__spec__)(name, self, is_package=is_package) if name in self else None

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        exec(self.pop(module.__name__), vars(module))


modules = Modules(marshal.loads(data))
del data
sys.meta_path.insert(0, modules)
exec(modules.pop("runner.__main__"), {"__name__": "__main__", "__package__": "runner"})
"""
"""Starts the runner from its modules on standard input. To compile them there costs 5 MB for as long as a task runs."""

MAXIMUM_LINE_BYTES = 65536
"""The runner writes no longer lines."""

STOP_SECONDS = 50.0
"""How long the runner may take to end a task. It kills after 10 s, then waits for the kernel. Airflow waits 60."""

LEVELS = frozenset({"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"})
"""The levels that Airflow knows: it drops a record of any other without a word."""

NAMES = {"error": "TaskNotStarted", "timeout": "TaskTimedOut", "cancellation": "TaskCancelled"}
"""How to call an exception that is no error of the task's own, by result."""

TYPES = {"boolean": bool, "integer": int, "number": float, "string": str}
"""What a parameter's value becomes, by its JSON type: JSON Schema takes 1 for a number and 1.0 for an integer."""


class DkistTask(BaseOperator):
    """Run a task in its own environment through the runner, and report to Airflow how it ended.

    Parameters
    ----------
    runner
        The runner program: the text of each module, by its name.
    variables
        Environment variables of the task that are the same in every run.
    run_variables
        Those that differ from run to run, as templates. Airflow keeps and shows their values for each task instance.
    parameters
        The JSON type of each parameter that the workflow declares, by name.
    settings
        Those of every operator.
    """

    template_fields = ("run_variables",)
    ui_color = "#f7dfb5"
    conversation: Conversation | None = None
    is_stopped = False

    def __init__(
        self,
        *,
        runner: dict[str, str],
        variables: dict[str, str],
        run_variables: dict[str, str],
        parameters: dict[str, str],
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.runner = runner
        self.variables = variables
        self.run_variables = run_variables
        self.parameters = parameters

    def execute(self, context: Any) -> None:
        """Run the task to its end; whatever interrupts this stops the task first."""
        ti = context["ti"]
        request = {
            "action": "run",
            "environ": {**os.environ, **self.variables, **self.run_variables, **self.parameter_variable(context)},
            "watch": watched_processes(),
            "attempt": f"{ti.dag_id}/{ti.run_id}/{ti.task_id}/{ti.map_index}",
        }
        conversation = self.conversation = Conversation(self.runner, request)
        try:
            if self.is_stopped:  # before there was anything to stop
                self.on_kill()
            result = conversation.wait()
        except MOVED.AirflowTaskTimeout:
            conversation.stop("timeout", f"execution_timeout of {self.execution_timeout}")
            result = conversation.wait(STOP_SECONDS)
            if result.get("result") not in {"success", "skip"}:
                raise MOVED.AirflowTaskTimeout(reason_of(result)) from None
        except BaseException as error:
            conversation.stop("cancellation", f"Airflow's process got {type(error).__name__}")
            conversation.wait(STOP_SECONDS)
            raise
        raise_unless_done(result)

    def parameter_variable(self, context: Any) -> dict[str, str]:
        """Return the variable with the run's value of each parameter; none where the workflow declares none."""
        values = {}
        for name, kind in self.parameters.items():
            value = context["params"][name]
            values[name] = "" if value is None else TYPES[kind](value)
        return {"DKIST_PARAMETERS": json.dumps(values)} if values else {}

    def on_kill(self) -> None:
        """Have the task stopped. Airflow calls this in a signal handler, and once more after a timeout."""
        self.is_stopped = True
        if self.conversation:
            self.conversation.stop("cancellation", "Airflow stopped it: marked, cleared, or its worker is shut down")


class Conversation:
    """One runner: the commands it gets, what it writes, and how the task ended by its word.

    Threads read and write, since Airflow interrupts the main thread anywhere: in the middle of a line, say.
    """

    def __init__(self, runner: dict[str, str], request: dict[str, Any]) -> None:
        self.result: dict[str, Any] = {"result": "error", "reason": "the runner has not said how the task ended"}
        self.is_over = False
        self.until_over = threading.Lock()  # no Event: an exception of a signal handler may leave its lock in disorder
        self.until_over.acquire()
        self.last_line = b""
        self.commands: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self.commands.put(request)
        # Airflow adds what is in context variables to every log record.
        start_thread(contextvars.copy_context().run, self.talk, runner)

    def wait(self, seconds: float | None = None) -> dict[str, Any]:
        """Return the result as soon as it is known; the runner may live on, to end what the task left behind."""
        if not self.is_over and self.until_over.acquire(timeout=-1 if seconds is None else seconds):
            self.until_over.release()
        return self.result

    def stop(self, stop: str, text: str) -> None:
        """Have the task stopped: in a signal handler, at any time, and more than once."""
        self.commands.put({"stop": stop, "text": text})

    def talk(self, runner: dict[str, str]) -> None:
        """Start the runner, and log what it writes until it says no more."""
        try:
            with subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", START],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={name: text for name, text in os.environ.items() if name in RUNNER_VARIABLES or name[:3] == "LC_"},
                start_new_session=True,
            ) as process:
                sender = start_thread(self.send_commands, process.stdin, runner)
                listener = start_thread(self.keep_last_line, process.stderr)
                log_output(process.stdout)
                listener.join()
                self.finish(self.read_result(process))
                self.commands.put(None)
                sender.join()
        except OSError as error:
            self.finish({"result": "error", "reason": f"the runner could not be started: {error}"})
        finally:
            self.finish(self.result)

    def finish(self, result: dict[str, Any]) -> None:
        """Give the result to who waits; the first one counts."""
        if not self.is_over:
            self.result, self.is_over = result, True
            self.until_over.release()

    def send_commands(self, stream: Any, runner: dict[str, str]) -> None:
        """Write the runner, the request, and each command when it comes."""
        modules = {
            name: text if name.startswith("runner.cold") else compile(text, f"<{name}>", "exec", optimize=2)
            for name, text in runner.items()
        }
        data = marshal.dumps(modules)
        try:
            with stream:
                stream.write(len(data).to_bytes(4, "big") + data)
                while command := self.commands.get():
                    stream.write(json.dumps(command).encode() + b"\n")
                    stream.flush()
        except OSError:
            return  # the runner has ended, which is seen where its output ends

    def keep_last_line(self, stream: Any) -> None:
        """Read to the end, and keep the last line that says something."""
        while line := stream.readline(MAXIMUM_LINE_BYTES):
            self.last_line = line if line.strip() else self.last_line

    def read_result(self, process: subprocess.Popen[bytes]) -> dict[str, Any]:
        """Return the runner's last line; where that is no result, what is known of the runner's own end."""
        try:
            result = json.loads(self.last_line)
        except ValueError:
            result = None
        if isinstance(result, dict):
            return result
        try:
            end = f"ended with status {process.wait(timeout=5)}"
        except subprocess.TimeoutExpired:
            end = "closed its output"
        words = self.last_line.decode(errors="replace").strip()
        error = f"the runner {end} without a result" + (f"; it last wrote: {words}" if words else "")
        return {"result": "error", "error_type": "dkist.RunnerFailed", "error": error}


def log_output(stream: Any) -> None:
    """Log what the runner writes: records with their own level and logger name, other lines as INFO."""
    is_in_group = False
    while line := stream.readline(MAXIMUM_LINE_BYTES):
        record = record_in(line)
        logger = str(record.get("logger"))
        if "group" in record:
            if is_in_group:
                log("::endgroup::", logger=logger)
            is_in_group = bool(record["group"])
            if is_in_group:
                log(f"::group::{record['group']}", logger=logger)
        if record.get("message"):
            log(str(record["message"]), str(record.get("level")), logger)
        elif not record:
            log(line.decode(errors="replace").rstrip("\r\n"))
    if is_in_group:
        log("::endgroup::")


def record_in(line: bytes) -> dict[str, Any]:
    """Return the record that a line holds; nothing for a line that was printed."""
    if line.startswith(b"\x1e"):
        try:
            record = json.loads(line[1:])
        except (ValueError, RecursionError):
            return {}
        return record if isinstance(record, dict) else {}
    return {}


def log(message: str, level: str = "INFO", logger: str = "task.stdout") -> None:
    """Give a record to Airflow's handler as it is: getLogger(name) would keep a logger for each name for ever."""
    level = level if level in LEVELS else "INFO"
    number = getattr(logging, level)
    logging.getLogger().handle(logging.LogRecord(logger, number, "", 0, message, args=None, exc_info=None))


def raise_unless_done(result: dict[str, Any]) -> None:
    """Raise what tells Airflow how the task ended, named as the task's own error; nothing where it succeeded."""
    outcome = result.get("result")
    if outcome == "success":
        return
    if outcome == "skip":
        raise MOVED.AirflowSkipException(reason_of(result))
    module, _, name = str(result.get("error_type")).rpartition(".")
    text = str(result.get("error") or "")
    if not result.get("error_type") or not name.isidentifier():
        module, name, text = __name__, NAMES.get(str(outcome), "TaskFailed"), reason_of(result)
        if result.get("is_out_of_memory") or result.get("signal"):
            name = "OutOfMemory" if result.get("is_out_of_memory") else "TaskKilled"
    base = MOVED.AirflowFailException if result.get("can_retry") is False else MOVED.AirflowException
    raise type(name, (base,), {"__module__": module or "builtins"})(text)


def reason_of(result: dict[str, Any]) -> str:
    """Return the text for a person."""
    return str(result.get("reason") or "the runner does not say why")


def watched_processes() -> list[int]:
    """Return the processes whose death stops the task: this one, and Airflow's supervisor where that is the parent."""
    task_runner = sys.modules.get("airflow.sdk.execution_time.task_runner")
    if type(getattr(task_runner, "SUPERVISOR_COMMS", None)).__name__ == "CommsDecoder":
        return [os.getpid(), os.getppid()]
    return [os.getpid()]  # dag.test(), under a shell that may end when it likes


def start_thread(function: Any, *arguments: Any) -> threading.Thread:
    """Start a thread that keeps no process alive."""
    thread = threading.Thread(target=function, args=arguments, daemon=True)
    thread.start()
    return thread


def param_from(*, name: str, default: Any, **schema: Any) -> Param:
    """Return a parameter as Airflow's trigger form and API check it."""
    if schema["type"] == "string" and "" in schema.get("enum", [""]):
        schema["type"] = ["string", "null"]  # the form turns an empty text into null, and takes it where null may be
    return Param(default, title=name[:1].upper() + name[1:].replace("_", " "), **schema)


def publish(context: Any, workflow: dict[str, Any]) -> None:
    """Publish the failure message; where that cannot be done, say so in the log."""
    try:
        from dkist_airflow_node import publish_failure  # hosts without it parse and run the DAG
    except ImportError as error:
        logging.getLogger(__name__).error(  # the traceback would say no more
            "No failure message is sent from this host, since dkist-airflow-node cannot be imported (%s). "
            "The dag-processor sends it when the run ends, if dkist-airflow-node is installed there.",
            error,
        )
    else:
        publish_failure(context, workflow_name=workflow["name"], workflow_version=workflow["version"])


def make_dag(workflow: dict[str, Any], tasks: tuple[dict[str, Any], ...], runner: dict[str, str]) -> DAG:
    """Return the DAG of a workflow, its table of tasks and the program that runs each of them."""

    # As short as can be: Airflow 3.0 puts the source of a callback into each serialised task.
    def report_failure(context: Any) -> None:
        publish(context, workflow)

    parameters = workflow.get("parameters", ())
    dag = DAG(
        workflow["dag_id"],
        description=workflow["description"],
        doc_md=workflow["doc"],
        tags=workflow["tags"],
        schedule=None,
        catchup=False,
        is_paused_upon_creation=False,
        max_active_runs=workflow["max_active_runs"],
        default_args={"owner": "DKIST Data Center", "depends_on_past": False},
        on_failure_callback=report_failure,
    )
    operators: dict[str, DkistTask] = {}
    for task in tasks:
        variables = {
            **task["environment"],
            "DKIST_TASK": task["entry_point"],
            "DKIST_TASK_NAME": task["task_id"],
            "DKIST_PYTHON": workflow["python"],
            "DKIST_WORKFLOW_NAME": workflow["name"],
            "DKIST_WORKFLOW_VERSION": workflow["version"],
            "DKIST_RECIPE_RUN_ID": "{{ params.recipe_run_id | int }}",
            "DKIST_TRY_NUMBER": "{{ ti.try_number }}",
            "TRACEPARENT": "{{ (ti.context_carrier | default({}, true)).get('traceparent') | default('', true) }}",
            "TRACESTATE": "{{ (ti.context_carrier | default({}, true)).get('tracestate') | default('', true) }}",
            "OTEL_SERVICE_NAME": workflow["name"],
        }
        operator = DkistTask(
            task_id=task["task_id"],
            dag=dag,
            doc_md=task["doc"],
            runner=runner,
            variables={name: value for name, value in variables.items() if "{{" not in value},
            run_variables={name: value for name, value in variables.items() if "{{" in value},
            parameters={row["name"]: row["type"] for row in parameters},
            trigger_rule="none_failed",  # a task that was skipped had nothing to do: the next one runs
            do_xcom_push=False,
            map_index_template="recipe run {{ params.recipe_run_id }}",  # a column in the lists of task instances
            queue=task["queue"],
            pool=task["pool"],
            retries=task["retries"],
            retry_delay=timedelta(seconds=task["retry_delay_seconds"]),
            execution_timeout=None if task["timeout_seconds"] is None else timedelta(seconds=task["timeout_seconds"]),
            on_failure_callback=report_failure,
        )
        operator.set_upstream([operators[name] for name in task["upstreams"]])
        operators[task["task_id"]] = operator
    # After the operators, each of which would take a copy of what is there, into the database as well.
    dag.params["recipe_run_id"] = Param(
        type="integer", minimum=1, title="Recipe run id", description="The recipe run to process."
    )
    for row in parameters:
        dag.params[row["name"]] = param_from(**row)
    return dag
