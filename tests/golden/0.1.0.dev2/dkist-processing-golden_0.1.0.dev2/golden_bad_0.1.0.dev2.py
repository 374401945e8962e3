# Workflow golden_bad, version 0.1.0.dev2: made by dkist-airflow-node.
# Do not edit it: export and deploy a new version.
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

STOP_SECONDS = 60.0
"""How long the runner may take to end a task: it kills after 10 s, and from then on waits for the kernel only."""

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


def make_dag(workflow: dict[str, Any], tasks: tuple[dict[str, Any], ...], runner: dict[str, str]) -> DAG:
    """Return the DAG of a workflow, its table of tasks and the program that runs each of them."""

    def report_failure(context: Any) -> None:
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
        params={
            "recipe_run_id": Param(
                type="integer", minimum=1, title="Recipe run id", description="The recipe run to process."
            ),
            **{row["name"]: param_from(**row) for row in parameters},
        },
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
            queue=task["queue"],
            pool=task["pool"],
            retries=task["retries"],
            retry_delay=timedelta(seconds=task["retry_delay_seconds"]),
            execution_timeout=None if task["timeout_seconds"] is None else timedelta(seconds=task["timeout_seconds"]),
            on_failure_callback=report_failure,
        )
        operator.set_upstream([operators[name] for name in task["upstreams"]])
        operators[task["task_id"]] = operator
    return dag


WORKFLOW = {
    'dag_id': 'golden_bad_0.1.0.dev2',
    'name': 'golden_bad',
    'version': '0.1.0.dev2',
    'description': 'golden_bad, version 0.1.0.dev2',
    'doc': None,
    'tags': ['0.1.0.dev2', 'bad', 'golden', 'golden_bad'],
    'python': '3.11',
    'max_active_runs': 100,
}

TASKS = (
    {
        'task_id': 'Succeed',
        'entry_point': 'dkist_processing_golden.tasks:Succeed',
        'doc': None,
        'environment': {
            'DKIST_REQUIREMENT': 'dkist-processing-golden==0.1.0.dev2',
        },
        'upstreams': (),
        'queue': 'default',
        'pool': 'default_pool',
        'retries': 0,
        'retry_delay_seconds': 60.0,
        'timeout_seconds': None,
    },
    {
        'task_id': 'Fail',
        'entry_point': 'dkist_processing_golden.tasks:Fail',
        'doc': None,
        'environment': {
            'DKIST_REQUIREMENT': 'dkist-processing-golden==0.1.0.dev2',
        },
        'upstreams': ('Succeed',),
        'queue': 'default',
        'pool': 'default_pool',
        'retries': 0,
        'retry_delay_seconds': 60.0,
        'timeout_seconds': None,
    },
)

RUNNER = {
    'runner': r'''"""Run one task of a DKIST workflow in the environment that its lock describes.

The texts of these modules are in every exported DAG file. A bare interpreter (``python -I -S``) gets them on standard
input, as ``runner_process.py`` writes them: compiled, but for those of ``cold``, which a warm start does not need. So
they import each other by relative imports, and besides the standard library only, of Python 3.10 and later, on Linux.
The operator of the file starts them, ``dkist-airflow-node environments prebuild``, and ``dkist-build run --locked``.

Standard input, after the modules: one JSON object a line. The first is the request. It may stay open; its end means
nothing. ::

    {"action": "run" | "rollback" | "build",
     "environ": {...},           the worker's environment plus the variables of the DAG
     "watch": [pid, ...],        processes whose death stops the task
     "attempt": "key" | null}    only one attempt of a key runs on this host at a time
    {"stop": "timeout" | "cancellation", "text": "execution_timeout of 600 s"}

Variables of the DAG: ``DKIST_TASK`` (MODULE:CLASS), ``DKIST_PYTHON`` (X.Y), ``DKIST_LOCK`` with ``DKIST_LOCK_SHA256``,
or ``DKIST_REQUIREMENT``. Of the worker: ``DKIST_ENVIRONMENT_STORE``, ``DKIST_TASK_VARIABLES``, and uv's settings.
``DKIST_WHEELHOUSE`` is the folder where releases with their wheels were deployed to; without it, the folder
``.<name>.dkist-wheels`` beside the dags folder. Where it has a folder ``<DKIST_LOCK_SHA256>``, or the lock has a folder
``wheels`` beside it, the environment is built from these wheels alone, without a network.

Standard output: the log, UTF-8, in lines of at most 64 KiB. A line that starts with RS (0x1e) is a JSON record with
``level``, ``logger``, ``message``, ``time``; those of this program have the logger ``dkist.runner``, and a ``group``
where a group of lines begins (``environment``, ``task``) or ends (null). All other lines are the task's own.

Standard error: one JSON object, the result, as soon as it is known. Anything else means that this program failed. ::

    {"result": "success" | "failure" | "error" | "timeout" | "cancellation" | "skip",
     "error_type", "error": the task's own, or null,  "reason": one text for a person,
     "can_retry": false where trying again cannot help,  "exit_status", "signal", "is_out_of_memory",
     "peak_memory_bytes", "cpu_seconds", "seconds", "environment"}

Exit status: 0 success or skip; 1 failure; 2 trying again cannot help. After a stop it dies of SIGTERM.

The launcher gets ``DKIST_OUTCOME_FILE``, ``DKIST_STOP_FILE`` and ``DKIST_LOG_FORMAT=records``, and writes the outcome.
Private modules (``_signal``, ``_json``, ``_sha2``, ``_ctypes``) stand in for public ones that import ``enum`` or
``re``: each start would take 10 ms and 1 MB more. Where a later Python has them no longer, the public ones serve.
"""
''',
    'runner.__main__': r'''"""The two processes of a runner: one works, the other waits for it."""

from __future__ import annotations

import os
import select
import sys

from .processes import PR_SET_CHILD_SUBREAPER, PR_SET_DUMPABLE, Children, set_process
from .signals import STOP_SIGNALS, send, signal

LOOK_SECONDS = 0.1
"""How long a look for the output of a task that unwinds waits."""
BLOCK_BYTES = 65_536


def guard(worker: int, pipe: int) -> int:
    """Wait for the process that does the work, and end what it leaves where it was killed itself."""

    def pause(seconds: float) -> None:
        """Let tasks that unwind print: nobody reads it, but they get no EPIPE."""
        if select.select([pipe], [], [], min(seconds, LOOK_SECONDS))[0]:
            os.read(pipe, BLOCK_BYTES)

    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(null, descriptor)
    for number in STOP_SIGNALS:
        signal.signal(number, lambda number, _: send([worker], number))
    pid = status = 0
    while pid != worker:
        pid, status = os.waitpid(-1, 0)
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    Children().end(pause)
    if os.WIFSIGNALED(status):
        if os.WTERMSIG(status) in STOP_SIGNALS:
            signal.signal(os.WTERMSIG(status), signal.SIG_DFL)
        os.kill(os.getpid(), os.WTERMSIG(status))
    return os.waitstatus_to_exitcode(status)


def main() -> int:
    """Do the work in a child: whichever of the two processes is killed, the other ends what the task started."""
    set_process(PR_SET_DUMPABLE, 0)  # the memory holds what the task must not read
    set_process(PR_SET_CHILD_SUBREAPER, 1)
    pipe, inlet = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(pipe, False)
    guardian = os.getpid()
    worker = os.fork()
    if worker:
        os.close(inlet)
        return guard(worker, pipe)
    from .run import Runner  # only the process that works needs it

    set_process(PR_SET_CHILD_SUBREAPER, 1)
    runner = Runner((pipe, inlet))
    runner.supervisor.watch(guardian, "the runner's first process was killed")
    if os.getppid() != guardian:
        runner.supervisor.stop("cancellation", "the runner's first process was killed")
    return runner.run()


if __name__ == "__main__":
    sys.exit(main())
''',
    'runner.attempt': r'''"""The attempt: one of a key at a time on this host, with a folder for its files."""

from __future__ import annotations

import fcntl
import os

from .errors import CannotRunError
from .plain_json import parse_json
from .processes import parent_and_start_of
from .store import ATTEMPTS, LOCK_SUFFIX, hexdigest, take_lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .supervisor import Supervisor


class Attempt:
    """One attempt of a task: the only one of its key on this host, with a folder for its files."""

    def __init__(self, store: str, key: str | None, supervisor: Supervisor) -> None:
        self.key = key or f"without a key {os.urandom(8).hex()}"
        self.supervisor = supervisor
        self.folder = f"{store}/{ATTEMPTS}/{hexdigest(self.key.encode('utf-8', 'surrogateescape'))[:32]}"
        self.descriptor = -1
        self.outcome_file = f"{self.folder}/outcome"
        self.stop_file = f"{self.folder}/stop"

    def enter(self) -> None:
        """Wait for the end of other attempts, end what a killed one left, and hold the lock."""
        try:
            os.makedirs(os.path.dirname(self.folder), 0o700, exist_ok=True)
            while not self.is_held():
                self.descriptor = os.open(self.folder + LOCK_SUFFIX, os.O_RDWR | os.O_CREAT, 0o600)
                if not take_lock(self.descriptor, fcntl.LOCK_EX):
                    from .cold.orphans import wait_for_lock

                    wait_for_lock(self.descriptor, self.supervisor)
            self.clear()
            os.mkdir(self.folder, 0o700)
            pid = os.getpid()
            os.write(self.descriptor, f"{pid} {parent_and_start_of(pid)[1]} {self.key}\n".encode(errors="replace"))
        except OSError as error:
            raise CannotRunError(f"cannot write to {self.folder}: {error.strerror}") from error
        # Inherited, so that what a killed runner leaves behind can be found.
        fcntl.fcntl(self.descriptor, fcntl.F_SETFD, 0)

    def is_held(self) -> bool:
        """Return whether the lock that is held is the file that others would open: the one before may be gone."""
        try:
            if self.descriptor >= 0 and os.path.samestat(os.fstat(self.descriptor), os.stat(self.folder + LOCK_SUFFIX)):
                os.ftruncate(self.descriptor, 0)
                return True
        except FileNotFoundError:
            pass
        if self.descriptor >= 0:
            os.close(self.descriptor)
        return False

    def clear(self) -> None:
        """Remove the folder of the attempt, or of one that was killed."""
        try:
            for name in os.listdir(self.folder):
                os.unlink(f"{self.folder}/{name}")
            os.rmdir(self.folder)
        except FileNotFoundError:
            pass

    def leave(self) -> None:
        """Remove folder and lock: nothing is left that another attempt would have to wait for."""
        if self.descriptor >= 0:
            try:
                self.clear()
                os.unlink(self.folder + LOCK_SUFFIX)
            except OSError:
                pass

    def outcome(self) -> dict[str, Any]:
        """Return what the launcher wrote; nothing where it did not come to that."""
        try:
            with open(self.outcome_file, encoding="utf-8", errors="replace") as file:
                outcome = parse_json(file.read())
        except (OSError, ValueError):
            return {}
        return outcome if isinstance(outcome, dict) else {}
''',
    'runner.cold': r'''"""What a warm start does not need: it is handed over as text, and compiled where it is imported."""
''',
    'runner.cold.build': r'''"""The build of an environment."""

from __future__ import annotations

import os
import shutil
import time

from ..errors import CannotRunError
from ..log import tidy
from ..signals import ended_with
from ..store import MARKER
from ..variables import build_variables
from .file_system import refuse_network_file_system

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..environment import Environment
    from ..supervisor import Supervisor


class Build:
    """One build of an environment, whose lock this process holds alone."""

    def __init__(self, environment: Environment, supervisor: Supervisor) -> None:
        self.path = environment.path
        self.environment = environment
        self.origin = environment.origin
        self.supervisor = supervisor

    def make(self) -> None:
        """Build it, or keep nothing of it."""
        refuse_network_file_system(self.environment.store)
        mask = os.umask(0o022)  # nobody else may write to what tasks will run
        begin = time.monotonic()
        try:
            variables = build_variables(self.environment.environ)
            python = self.find_python(variables)
            self.supervisor.output.say(f"building {self.path} for {self.origin}")
            self.install(python, variables)
        except (CannotRunError, OSError) as error:
            self.remove()
            if isinstance(error, OSError):
                raise CannotRunError(f"could not build the environment of {self.origin}: {error}") from error
            raise
        finally:
            os.umask(mask)
        self.supervisor.output.say(f"built in {time.monotonic() - begin:.0f} s")

    def find_python(self, variables: Mapping[str, str]) -> str:
        """Return the interpreter of the worker that the release needs."""
        folders = variables.get("PATH", os.defpath).split(":")
        if not any(os.access(f"{folder}/uv", os.X_OK) for folder in folders):
            raise CannotRunError("no 'uv' on the PATH of this worker, so it cannot build; install it there")
        find = ["uv", "python", "find", "--system", "--no-python-downloads", self.environment.python]
        self.supervisor.start(find, variables, folder="/", is_shown=False)
        status = self.supervisor.finish()
        found = self.supervisor.tail.decode(errors="surrogateescape").strip().rpartition("\n")[2]
        if status or not found.startswith("/"):
            raise CannotRunError(
                f"no Python {self.environment.python} on this worker, which {self.origin} needs; install it there",
                can_retry=False,
            )
        return found

    def install(self, python: str, variables: Mapping[str, str]) -> None:
        """Fill the environment, which this process holds alone."""
        own = f"{self.path}/bin/python"
        into = ["--quiet", "--python", own, "--only-binary", ":all:", "--link-mode", "copy", "--compile-bytecode"]
        if variables.get("UV_NO_INDEX", "").lower() not in {"", "0", "false", "no", "off", "f", "n"}:
            into.append("--no-index")  # uv 0.13 has the option, but does not read the variable
        self.remove()
        self.step(["uv", "venv", "--quiet", "--no-python-downloads", "--python", python, self.path], variables)
        if self.environment.lock:
            requirements = f"{self.path}/requirements.txt"
            with open(requirements, "wb") as file:  # what was verified, not what the lock is by now
                file.write(self.environment.requirements)
            wheels = self.wheels()
            if wheels:
                self.supervisor.output.say(f"installing the wheels in {wheels}, without a network")
                into += ["--no-config", "--offline", "--no-index", "--find-links", wheels]
                variables = {  # no setting of an index
                    name: value for name, value in variables.items() if name[:3] != "UV_" or name == "UV_CACHE_DIR"
                }
            self.step(["uv", "pip", "sync", *into, "--require-hashes", requirements], variables)
        else:
            self.step(
                ["uv", "pip", "install", *into, "--", self.environment.requirement, "dkist-task[otlp]"], variables
            )
        self.step([own, "-P", "-c", "import dkist_task, os; print('\\n' + os.__file__)"], variables, is_shown=False)
        library = self.supervisor.tail.rstrip(b"\n").rpartition(b"\n")[2]
        with open(f"{self.path}/.finished", "wb") as file:
            file.write(library + b"\n" + self.origin.encode("utf-8", "surrogateescape") + b"\n")
        os.rename(f"{self.path}/.finished", f"{self.path}/{MARKER}")

    def wheels(self) -> str:
        """Return the folder that has every wheel of the lock, or nothing: it was put there as a whole."""
        environ = self.environment.environ
        release = os.path.dirname(os.path.realpath(self.environment.lock))
        dags, name = os.path.split(os.path.dirname(release))
        beside = environ.get("DKIST_WHEELHOUSE") or f"{dags}/.{name}.dkist-wheels"
        for folder in (f"{beside}/{environ['DKIST_LOCK_SHA256']}", f"{release}/wheels"):
            if os.path.isdir(folder):
                return folder
        return ""

    def step(self, command: list[str], variables: Mapping[str, str], *, is_shown: bool = True) -> None:
        """Run one program of the build in a folder without settings of a project."""
        self.supervisor.start(command, variables, folder="/", is_shown=is_shown)
        status = self.supervisor.finish()
        if status:
            tail = self.supervisor.tail.decode(errors="replace").strip()
            if not is_shown:
                self.supervisor.output.put(tidy(self.supervisor.tail.rstrip(b"\n") + b"\n"))
            raise CannotRunError(
                f"could not build the environment of {self.origin}; nothing of it was kept: "
                + (tail[-1500:] or f"{command[0]} ended with {ended_with(status)}")
            )

    def remove(self) -> None:
        """Remove the folder, marker first: what is half removed is never used."""
        try:
            os.unlink(f"{self.path}/{MARKER}")
        except FileNotFoundError:
            pass
        except OSError as error:
            raise CannotRunError(f"cannot remove {self.path}: {error.strerror}") from error
        shutil.rmtree(self.path, ignore_errors=True)
''',
    'runner.cold.diagnosis': r'''"""What ended a task that did not succeed."""

from __future__ import annotations

import os

from ..memory import number_in, size_text
from ..signals import signal, signal_name
from ..store import MARKER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..environment import Environment
    from ..memory import KillCount


def diagnosis(status: int, said: str | None, members: dict[str, Any], count: KillCount) -> dict[str, Any]:
    """Return the members of the result that say what ended the task.

    Parameters
    ----------
    status
        The launcher's, as `wait` gives it.
    said
        The result in the launcher's outcome, if it wrote one.
    members
        What is known from the outcome, and of the memory used.
    count
        The kernel's kills for memory since the launcher was started.
    """
    number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    code = None if number else os.WEXITSTATUS(status)
    kills = count.new()
    is_out_of_memory = number == signal.SIGKILL and kills > 0
    result = "failure"
    if is_out_of_memory:
        peak, limit = members["peak_memory_bytes"] or 0, memory_limit(count.events)
        reason = f"killed by the kernel for memory: peak {size_text(peak)}, limit {size_text(limit)}"
    elif number:
        reason = f"the task's process was killed by {signal_name(number)}"
        if number == signal.SIGKILL:
            reason += ", not by this runner: by somebody, or by the kernel for memory (its log says so)"
    elif code == 2 and said == "error":  # the launcher's status for an unusable request
        result = "error"
        reason = members["reason"] or members["error"] or "the request was unusable"
    elif said in {"failure", "error"}:
        last = str(members["error_type"] or "error").rpartition(".")[2]
        reason = f"{last}: {members['error']}" if members["error"] else last
    elif said is None:
        reason = (
            f"the task's process ended with exit status {code} without saying how (os._exit or exit() in native code?)"
        )
    else:
        reason = f"the task's process ended with exit status {code}, and said {said!r}"
    if kills > 0 and not is_out_of_memory:
        reason += f" (meanwhile the kernel killed {kills} process(es) of this control group for memory)"
    return {
        "result": result,
        "reason": reason,
        "can_retry": result != "error",
        "exit_status": code,
        "signal": signal_name(number) if number else None,
        "is_out_of_memory": is_out_of_memory,
    }


def memory_limit(events: str) -> int:
    """Return the bytes that this process's control group may use, or the host has."""
    limits = [(number_in("/proc/meminfo", "MemTotal") or 0) * 1024]
    folder = os.path.dirname(events)
    if events.endswith("oom_control"):
        limits.append(number_in(f"{folder}/memory.stat", "hierarchical_memory_limit") or 0)
    while events.endswith("memory.events") and folder.startswith("/sys/fs/cgroup/"):
        limits.append(number_in(f"{folder}/memory.max") or 0)
        folder = os.path.dirname(folder)
    return min(filter(None, limits), default=0)


def damage(environment: Environment, error_type: str | None) -> str:
    """Return what an environment lacks in which an import failed, and have the next attempt build it again."""
    if not (error_type or "ImportError").endswith(("ImportError", "NotFoundError")):
        return ""
    try:
        missing = missing_file(f"{environment.path}/lib/python{environment.python}/site-packages")
        if missing:
            os.unlink(f"{environment.path}/{MARKER}")
    except OSError:
        return ""
    if not missing:
        return ""
    return f" (the environment {environment.path} has lost its file {missing}; the next attempt builds it again)"


def missing_file(library: str) -> str:
    """Return a file that was installed and is not there any more, or nothing."""
    for name in os.listdir(library):
        if name.endswith(".dist-info"):
            with open(f"{library}/{name}/RECORD", encoding="utf-8") as file:
                for line in file:
                    path = line.rsplit(",", 2)[0].strip('"').replace('""', '"')
                    if not path.endswith(".pyc") and not os.path.lexists(os.path.join(library, path)):
                        return path
    return ""
''',
    'runner.cold.file_system': r'''"""The file system of the store: locks do not hold on every one."""

from __future__ import annotations

import os

from ..errors import CannotRunError

NETWORK_FILE_SYSTEMS = (
    *("nfs", "smb", "cifs", "afs", "ceph", "lustre", "gpfs", "panfs", "beegfs", "orangefs", "9p", "virtiofs", "fuse"),
    *("acfs", "ocfs2", "gfs2", "coda"),
)
LOCAL_FUSE = ("fuse.fuse-overlayfs",)


def file_system_type(path: str, mounts: str) -> str:
    """Return the type of the file system that holds an absolute path, by the text of /proc/self/mountinfo."""
    best = found = ""
    for line in mounts.splitlines():
        fields, _, rest = line.partition(" - ")
        point = fields.split()[4]
        for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
            point = point.replace(code, character)
        if len(point) >= len(best) and (path + "/").startswith(point.rstrip("/") + "/"):
            best, found = point, rest.split()[0]
    return found


def refuse_network_file_system(store: str) -> None:
    """Raise CannotRunError where locks may not hold."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        kind = file_system_type(os.path.realpath(store), file.read())
    if kind.startswith(NETWORK_FILE_SYSTEMS) and kind not in LOCAL_FUSE:
        raise CannotRunError(
            f"the environment store {store} is on a network file system ({kind}), where locks do not hold; "
            "set DKIST_ENVIRONMENT_STORE to a local folder"
        )
''',
    'runner.cold.orphans': r'''"""What an attempt left behind whose runner was killed."""

from __future__ import annotations

import fcntl
import os
import time

from ..processes import descendants, parent_and_start_of, processes
from ..signals import STOP_GRACE_SECONDS, send, signal
from ..store import LOOK_SECONDS, take_lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..supervisor import Supervisor


def wait_for_lock(descriptor: int, supervisor: Supervisor) -> None:
    """Wait for the lock. Processes that hold it though the runner that took it is gone are ended."""
    holder = os.pread(descriptor, 1000, 0).decode(errors="replace").strip()
    supervisor.output.say(f"waiting for the end of another attempt of this task (process {holder})", "WARNING")
    signalled: set[int] = set()
    deadline = time.monotonic() + STOP_GRACE_SECONDS
    next_look = 0.0
    while not take_lock(descriptor, fcntl.LOCK_EX):
        if time.monotonic() >= next_look:
            next_look = time.monotonic() + 1
            left = left_behind(descriptor)
            if left and not signalled:
                supervisor.output.say(
                    f"the runner of that attempt was killed; ending what it left: processes {left}: SIGTERM now, "
                    f"SIGKILL after {STOP_GRACE_SECONDS:.0f} s",
                    "WARNING",
                )
                deadline = time.monotonic() + STOP_GRACE_SECONDS
            is_late = time.monotonic() >= deadline
            send(
                [pid for pid in left if is_late or pid not in signalled], signal.SIGKILL if is_late else signal.SIGTERM
            )
            signalled.update(left)
        supervisor.wait(LOOK_SECONDS)


def left_behind(lock: int) -> list[int]:
    """Return the processes that hold the lock, and those below them, where who took it is gone."""
    own = os.fstat(lock)
    found = []
    for pid in processes():
        try:
            for name in os.listdir(f"/proc/{pid}/fd"):
                if os.path.samestat(own, os.stat(f"/proc/{pid}/fd/{name}")) and is_of_the_dead(lock, pid, name):
                    found += [pid, *descendants(pid)]
                    break
        except OSError:  # gone, or not for us to see: nothing is ended on a guess
            continue
    return found


def is_of_the_dead(lock: int, pid: int, descriptor: str) -> bool:
    """Return whether a descriptor holds the lock for a process that is gone, as the kernel says."""
    with open(f"/proc/{pid}/fdinfo/{descriptor}", encoding="ascii") as file:
        takers = [int(line.split()[5]) for line in file if line.startswith("lock:") and "FLOCK" in line]
    if not takers:  # it only waits
        return False
    text = os.pread(lock, 1000, 0).split()
    try:
        start = parent_and_start_of(takers[0])[1]
    except (FileNotFoundError, ProcessLookupError):
        return True
    except OSError:
        return False
    # The number may be another process's by now.
    return len(text) > 1 and text[0] == b"%d" % takers[0] and text[1] != b"%d" % start
''',
    'runner.environment': r'''"""An environment of the store."""

from __future__ import annotations

import os

from .errors import CannotRunError
from .store import MARKER, hexdigest, refuse_other_owner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


class Environment:
    """An environment of the store: of one lock (or requirement), one Python and one kind of machine."""

    def __init__(self, store: str, environ: Mapping[str, str]) -> None:
        self.store = store
        self.environ = environ
        self.python = environ.get("DKIST_PYTHON", "")
        if not (self.python.startswith("3.") and self.python[2:].isdecimal() and self.python.isascii()):
            raise CannotRunError(f"DKIST_PYTHON is {self.python!r}, not a version such as 3.12", can_retry=False)
        self.lock = environ.get("DKIST_LOCK", "")
        self.requirement = environ.get("DKIST_REQUIREMENT", "")
        self.origin = self.lock or self.requirement
        self.requirements = self.read_lock() if self.lock else b""
        if not self.origin:
            raise CannotRunError("neither DKIST_LOCK nor DKIST_REQUIREMENT is set", can_retry=False)
        digest = hexdigest(self.requirements or self.requirement.encode())
        self.path = f"{store}/{digest[:32]}-py{self.python}-{os.uname().machine}"

    def read_lock(self) -> bytes:
        """Return the content of the lock, which is the DAG's."""
        try:
            with open(self.lock, "rb") as file:
                content = file.read()
        except OSError as error:
            raise CannotRunError(
                f"the lock {self.lock} cannot be read ({error.strerror}); deploy the release again"
            ) from error
        expected = self.environ.get("DKIST_LOCK_SHA256", "")
        if hexdigest(content) != expected:
            raise CannotRunError(
                f"the lock {self.lock} is not the one of this DAG (its SHA-256 is not {expected!r}); "
                "deploy the release again",
                can_retry=False,
            )
        return content

    def is_usable(self) -> bool:
        """Return whether its build came to its end, and its interpreter is still there."""
        try:
            refuse_other_owner(self.path, os.stat(self.path).st_uid)
            with open(f"{self.path}/{MARKER}", "rb") as file:
                library = file.readline().rstrip(b"\n")
        except OSError:
            return False
        return os.path.isfile(library) and os.access(f"{self.path}/bin/python", os.X_OK)
''',
    'runner.errors': r'''"""The two reasons why a task does not come to its own end."""

from __future__ import annotations


class CannotRunError(Exception):
    """The task cannot be run here; the text says what, which and how to fix."""

    def __init__(self, reason: str, *, can_retry: bool = True) -> None:
        super().__init__(reason)
        self.can_retry = can_retry


class StoppedError(Exception):
    """Somebody asked for the end of the task."""

    def __init__(self, stop: str, text: str) -> None:
        super().__init__(text)
        self.stop = stop
''',
    'runner.log': r'''"""The log: what programs write, in whole lines, and what the runner itself says."""

from __future__ import annotations

import os
import time

from .plain_json import render_json

MAXIMUM_LINE_BYTES = 65_536
RECORD = b"\x1e"
"""RS, as in RFC 7464: the beginning of a line that is a JSON record."""


def tidy(lines: bytes) -> bytes:
    """Return whole lines as the log has them: UTF-8, bounded, one state of a progress bar, records on their own."""
    is_short = len(lines) <= MAXIMUM_LINE_BYTES or max(map(len, lines.split(b"\n"))) < MAXIMUM_LINE_BYTES
    records = lines.count(RECORD)
    if is_short and b"\r" not in lines and records == lines.count(b"\n" + RECORD) + lines.startswith(RECORD):
        try:
            lines.decode()
        except UnicodeDecodeError:
            pass
        else:
            return lines
    return b"".join(piece + b"\n" for line in lines[:-1].split(b"\n") for piece in pieces(line))


def pieces(line: bytes) -> list[bytes]:
    """Return the lines that stand for one line of a task, each shorter than the maximum."""
    line = line.rstrip(b"\r").rpartition(b"\r")[2]  # what a terminal would show in the end
    line = line.decode("utf-8", "backslashreplace").encode()
    first, *records = line.split(RECORD)  # a record that follows text without a newline
    found = []
    for part in [first] * bool(first or not records) + [RECORD + record for record in records]:
        rest = part
        while len(rest) >= MAXIMUM_LINE_BYTES:
            end = character_begin(rest, MAXIMUM_LINE_BYTES - 1)
            found.append(rest[:end])
            rest = rest[end:]
        found.append(rest)
    return found


def character_begin(text: bytes, index: int) -> int:
    """Return where the character at an index begins; UTF-8 has at most three bytes that continue one."""
    for begin in range(index, index - 4, -1):
        if text[begin] & 0xC0 != 0x80:
            return begin
    return index


class Output:
    """Standard output: what the task says, in whole lines, for as long as somebody reads it."""

    def __init__(self, descriptor: int) -> None:
        import stat

        self.descriptor = descriptor
        self.waiting = b""
        """Lines that the reader has not taken yet. While there are some, nothing more is read from the task."""
        self.line = b""
        """The beginning of a line."""
        self.is_open = True
        if stat.S_ISFIFO(os.fstat(descriptor).st_mode):  # a reader that stands still must not hold up a stop
            os.set_blocking(descriptor, False)

    def feed(self, block: bytes) -> None:
        """Take what a program wrote."""
        if not self.is_open:
            return
        lines, newline, self.line = (self.line + block).rpartition(b"\n")
        if b"\r" in self.line[:-1]:
            self.line = self.line[:-1].rpartition(b"\r")[2] + self.line[-1:]
        if len(self.line) >= MAXIMUM_LINE_BYTES:
            end = character_begin(self.line, len(self.line) - 1)
            cut, self.line = self.line[:end], self.line[end:]
            lines, newline = lines + newline + cut, b"\n"
        if newline:
            self.put(tidy(lines + newline))

    def finish_line(self) -> None:
        """End a line that has no end of its own."""
        if self.line:
            self.feed(b"\n")

    def say(self, message: str, level: str = "INFO", **group: str | None) -> None:
        """Write a record of the runner's own."""
        now = time.time()
        stamp = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now))}.{int(now % 1 * 1e6):06d}+00:00"
        record = {"level": level, "logger": "dkist.runner", "message": message[:20_000], "time": stamp, **group}
        self.put(RECORD + render_json(record).encode() + b"\n")

    def put(self, lines: bytes) -> None:
        """Write lines, or keep them until the reader takes them."""
        if self.is_open:
            self.waiting += lines
            self.write()

    def write(self) -> None:
        """Write as much as the reader takes. A reader that went away is no concern of the task."""
        while self.waiting:
            try:
                taken = os.write(self.descriptor, self.waiting)
            except BlockingIOError:
                return
            except OSError:
                self.is_open, self.waiting, self.line = False, b"", b""
            else:
                self.waiting = self.waiting[taken:]
''',
    'runner.memory': r'''"""What the kernel says of the memory of this control group."""

from __future__ import annotations

import os


def memory_events() -> str:
    """Return the file in which the control group of this process counts out-of-memory kills, or nothing."""
    try:
        with open("/proc/self/cgroup", encoding="utf-8") as file:
            groups = [line.rstrip("\n").split(":", 2) for line in file]
    except OSError:
        return ""
    for _, controllers, path in groups:
        root, name = "/sys/fs/cgroup", "memory.events"
        if "memory" in controllers.split(","):  # version 1
            root, name = "/sys/fs/cgroup/memory", "memory.oom_control"
        for candidate in (f"{root}{path.rstrip('/')}/{name}", f"{root}/{name}"):  # in a container, the root is its own
            if (not controllers or name == "memory.oom_control") and os.path.exists(candidate):
                return candidate
    return ""


def number_in(path: str, name: str = "") -> int | None:
    """Return the number after a name in a file of the kernel's, or the file's only one."""
    try:
        with open(path, encoding="ascii") as file:
            for line in file:
                fields = line.split()
                if not name or fields[0].rstrip(":") == name:
                    return int(fields[1 if name else 0])
    except (OSError, ValueError, IndexError):  # "max" is no number
        pass
    return None


def size_text(size: int) -> str:
    """Return bytes for a person."""
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"


class KillCount:
    """How many processes of this control group the kernel killed for memory since this was made."""

    def __init__(self) -> None:
        self.events = memory_events()
        self.before = number_in(self.events, "oom_kill")

    def new(self) -> int:
        """Return the number; 0 where the kernel does not count."""
        now = number_in(self.events, "oom_kill")
        return now - self.before if now is not None and self.before is not None else 0
''',
    'runner.plain_json': r'''"""JSON without ``re``, which the standard library's ``json`` imports: 3 ms of each start."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


class JsonSettings:
    """What the scanner of the standard library's decoder wants to know."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float = parse_constant = float
    parse_int = int


def parse_json(text: str) -> Any:
    """Return the value of a JSON text; raise ValueError."""
    try:
        from _json import make_scanner

        value, end = make_scanner(JsonSettings)(text, 0)  # type: ignore[arg-type]
        if end == len(text):
            return value
    except (ImportError, AttributeError, TypeError, ValueError, StopIteration, SystemError):
        pass
    import json  # which knows what is wrong, or may follow

    return json.loads(text)


def render_json(members: Mapping[str, Any]) -> str:
    """Return a flat JSON object."""
    try:
        from _json import encode_basestring_ascii
    except ImportError:
        from json.encoder import encode_basestring_ascii

    def render(value: Any) -> str:
        if isinstance(value, str):
            return str(encode_basestring_ascii(value))
        return "null" if value is None else repr(value).lower()  # True and False; numbers have no capitals

    return "{" + ", ".join(f"{render(name)}: {render(value)}" for name, value in members.items()) + "}"
''',
    'runner.processes': r'''"""Processes: those below this one, their beginning and their end."""

from __future__ import annotations

import os
import time

from .signals import STOP_GRACE_SECONDS, STOP_SIGNALS, send, signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from resource import struct_rusage

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER = 1, 4, 36


def set_process(option: int, value: int) -> None:
    """Call prctl, which Python has no function for."""
    try:
        import _ctypes

        program = _ctypes.dlopen(None, 0)  # type: ignore[arg-type]
        if _ctypes.call_function(_ctypes.dlsym(program, "prctl"), (option, value, 0, 0, 0)) == 0:
            return
    except (ImportError, AttributeError, TypeError, OSError):
        pass
    import ctypes

    ctypes.CDLL(None).prctl(option, ctypes.c_ulong(value), 0, 0, 0)


def parent_and_start_of(pid: int) -> tuple[int, int]:
    """Return a process's parent and the time it started, in clock ticks since the boot; raise OSError."""
    with open(f"/proc/{pid}/stat", "rb") as file:  # pathlib costs 5 ms of each start
        fields = file.read().rpartition(b")")[2].split()
    return int(fields[1]), int(fields[19])


def children_of(pid: int) -> list[int]:
    """Return the children of all threads of a process; raise FileNotFoundError on a kernel without such lists."""
    found = []
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
            found += [int(child) for child in file.read().split()]
    return found


def descendants(root: int) -> list[int]:
    """Return everything below a process. A subreaper is the parent of all below it that lost theirs."""
    found: list[int] = []
    left = [root]
    children_by_parent: dict[int, list[int]] | None = None
    while left:
        pid = left.pop()
        try:
            below = children_of(pid) if children_by_parent is None else children_by_parent.get(pid, [])
        except (OSError, ValueError):
            if os.path.exists(f"/proc/{pid}/task/{pid}/children") or not os.path.exists(f"/proc/{pid}/task/{pid}"):
                continue  # it ended: its children have another parent, and are seen at the next look
            children_by_parent = all_children()
            below = children_by_parent.get(pid, [])
        found += below
        left += below
    return found


def all_children() -> dict[int, list[int]]:
    """Return the children of every process, for kernels without CONFIG_PROC_CHILDREN."""
    found: dict[int, list[int]] = {}
    for pid in processes():
        try:
            found.setdefault(parent_and_start_of(pid)[0], []).append(pid)
        except (OSError, IndexError):  # ended, or not for us to see
            continue
    return found


def processes() -> list[int]:
    """Return all processes."""
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


class Children:
    """The processes below this one, a subreaper."""

    def __init__(self) -> None:
        self.awaited = 0
        """The child whose end is of interest."""
        self.status: int | None = None
        """The status that the awaited child ended with."""
        self.usage: struct_rusage | None = None

    def reap(self) -> bool:
        """Collect those that ended; return whether any is left."""
        try:
            while True:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
                if not pid:
                    return True
                if pid == self.awaited:
                    self.status, self.usage = status, usage
        except ChildProcessError:
            return False

    def end(self, pause: Callable[[float], None]) -> None:
        """End all of them: SIGTERM, SIGKILL after the grace, again until none is left."""
        signalled: set[int] = set()
        for _ in range(3):  # one that forks and ends while we look would hide its child from a single look
            fresh = [pid for pid in descendants(os.getpid()) if pid not in signalled]
            send(fresh, signal.SIGTERM)
            signalled.update(fresh)
        deadline = time.monotonic() + STOP_GRACE_SECONDS
        wait = 0.01
        while self.reap():
            left = deadline - time.monotonic()
            if left <= 0:
                send(descendants(os.getpid()), signal.SIGKILL)
                wait = left = min(wait * 2, 1)  # one in the kernel's hands may take its time
            pause(left)


def spawn(command: list[str], environ: Mapping[str, str], output: int, folder: str | None) -> int:
    """Start a program in a session of its own; it gets SIGTERM when this process dies."""
    parent = os.getpid()
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)  # until the child has no handler of ours any more
    pid = os.fork()
    if pid:
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        return pid
    try:
        signal.set_wakeup_fd(-1)
        for number in (*STOP_SIGNALS, signal.SIGCHLD, signal.SIGQUIT, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        os.setsid()  # so that a stop begins here, with its reason written, and not by a signal to the whole group
        set_process(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        if folder is not None:
            os.chdir(folder)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.execvpe(command[0], command, dict(environ))  # noqa: S606  # that is what a runner is for
    except BaseException as error:
        os.write(2, f"{command[0]}: {error}\n".encode())
    finally:
        os._exit(127)
''',
    'runner.request': r'''"""Standard input: the request, and the commands after it."""

from __future__ import annotations

import os

from .errors import CannotRunError
from .plain_json import parse_json
from .supervisor import BLOCK_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .supervisor import Supervisor


class StandardInput:
    """What the operator writes, a line at a time."""

    def __init__(self, supervisor: Supervisor) -> None:
        self.supervisor = supervisor
        self.input = b""

    def read_request(self) -> dict[str, Any]:
        """Wait for the first line of standard input."""
        is_read = False

        def read(descriptor: int) -> None:
            nonlocal is_read
            block = os.read(descriptor, BLOCK_BYTES)
            self.input += block
            is_read = not block or b"\n" in self.input
            if not block:
                del self.supervisor.readers[descriptor]

        self.supervisor.readers[0] = read
        while not is_read:
            self.supervisor.wait()
        line, _, self.input = self.input.partition(b"\n")
        try:
            request = parse_json(line.decode())
            environ, action = request["environ"], request["action"]
            if not all(isinstance(value, str) and "\0" not in value for value in environ.values()):
                raise ValueError("a variable is no text")
            if action not in {"run", "rollback", "build"}:
                raise ValueError(f"no such action: {action!r}")
            if action != "build" and not environ.get("DKIST_TASK"):
                raise ValueError("DKIST_TASK is not set")
            watched = [int(pid) for pid in request.get("watch", ())]
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            reason = f"the request cannot be read: {type(error).__name__}: {error}"
            raise CannotRunError(reason, can_retry=False) from error
        for pid in watched:
            self.supervisor.watch(pid, f"process {pid}, which asked for the task, is gone")
        if 0 in self.supervisor.readers:
            self.supervisor.readers[0] = self.read_command
        self.obey()
        return dict(request)

    def read_command(self, descriptor: int) -> None:
        """Take what comes after the request; its end means nothing."""
        block = os.read(descriptor, BLOCK_BYTES)
        if not block:
            del self.supervisor.readers[descriptor]
        self.input += block
        self.obey()

    def obey(self) -> None:
        """Do what each whole line says; later versions may say what this one does not know."""
        *lines, self.input = self.input.split(b"\n")
        for line in lines:
            try:
                command = parse_json(line.decode())
                self.supervisor.stop(str(command["stop"]), str(command.get("text", "")))
            except (ValueError, TypeError, KeyError, AttributeError):
                self.supervisor.output.say(f"a command cannot be read: {line[:200]!r}", "WARNING")
''',
    'runner.result': r'''"""The result: what the operator reports to Airflow."""

from __future__ import annotations

import os

from .memory import size_text
from .plain_json import render_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from resource import struct_rusage
    from typing import Any

    from .supervisor import Supervisor


def result_of(**members: Any) -> dict[str, Any]:
    """Return a result with all its members."""
    return {
        "result": "error",
        "error_type": None,
        "error": None,
        "reason": "",
        "can_retry": True,
        "exit_status": None,
        "signal": None,
        "is_out_of_memory": False,
        "peak_memory_bytes": None,
        "cpu_seconds": None,
        **members,
    }


def members_of_outcome(outcome: dict[str, Any], usage: struct_rusage | None) -> dict[str, Any]:
    """Return what the launcher said of errors and use; the kernel's numbers where it did not."""
    peak = usage.ru_maxrss * 1024 if usage else None
    return {
        "error_type": text_or_none(outcome.get("error_type")),
        "error": text_or_none(outcome.get("error")),
        "reason": text_or_none(outcome.get("reason")) or "",
        "peak_memory_bytes": outcome.get("peak_memory_bytes") or peak,
        "cpu_seconds": outcome.get("cpu_seconds") or (usage.ru_utime + usage.ru_stime if usage else None),
    }


def text_or_none(value: Any) -> str | None:
    """Return a member of the outcome as text of bounded length."""
    return None if value is None else str(value)[:4000]


def end_text(result: dict[str, Any]) -> str:
    """Return how the task ended and what it used, for the log."""
    used = [f"{result['seconds']:.1f} s"]
    if result["peak_memory_bytes"]:
        used.append(f"peak memory {size_text(result['peak_memory_bytes'])}")
    if result["cpu_seconds"]:
        used.append(f"CPU {result['cpu_seconds']:.1f} s")
    reason = f": {result['reason']}" if result["reason"] else ""
    return f"{result['result']}{reason} ({', '.join(used)})"


def exit_status_of(result: dict[str, Any]) -> int:
    """Return the runner's exit status."""
    if result["result"] in {"success", "skip"}:
        return 0
    return 1 if result["can_retry"] else 2


def write_result(result: dict[str, Any], supervisor: Supervisor) -> None:
    """Write the result, and close what the operator reads: only what the task left behind is still to be ended."""
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.write(2, render_json(result).encode() + b"\n")
    except OSError:
        os.dup2(null, 2)  # nobody is there to read it
    supervisor.output.is_open, supervisor.output.waiting = False, b""
    os.dup2(null, 1)
    os.dup2(null, 2)
''',
    'runner.run': r'''"""One request, from its reading to its result."""

from __future__ import annotations

import os
import time

from .attempt import Attempt
from .environment import Environment
from .errors import CannotRunError, StoppedError
from .log import Output
from .plain_json import render_json
from .processes import descendants
from .request import StandardInput
from .signals import STOP_GRACE_SECONDS, signal
from .store import open_store, store_folder
from .supervisor import Supervisor
from .tenancy import Tenancy
from .variables import task_variables

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .memory import KillCount


class Runner:
    """One request, from its reading to its result."""

    def __init__(self, pipe: tuple[int, int]) -> None:
        self.begin = time.monotonic()
        self.output = Output(1)
        self.supervisor = Supervisor(self.output, pipe)
        self.environment: Environment | None = None
        self.attempt: Attempt | None = None
        self.kills: KillCount | None = None
        """Of the time since the launcher was started: before that, children are those of a build."""
        self.stopped: StoppedError | None = None
        self.is_reported = False
        self.exit_status = 0

    def run(self) -> int:
        """Do what the request asks for, and return the exit status."""
        try:
            try:
                self.serve(StandardInput(self.supervisor).read_request())
                self.report_end()
            except CannotRunError as error:
                self.output.say(str(error), "ERROR")
                self.report(result="error", reason=str(error), can_retry=error.can_retry)
            except StoppedError as stopped:
                self.stopped = stopped
                self.end_for(stopped)
        finally:
            self.supervisor.is_ending = True
            self.supervisor.children.end(self.supervisor.wait)
            if self.attempt is not None:
                self.attempt.leave()
        if self.stopped is not None:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)
        return self.exit_status

    def serve(self, request: dict[str, Any]) -> None:
        """Build what is missing, and run the task."""
        environ = request["environ"]
        store = store_folder(environ)
        open_store(store)
        self.environment = environment = Environment(store, environ)
        if request["action"] != "build":
            self.attempt = Attempt(store, request.get("attempt"), self.supervisor)
            self.attempt.enter()
        if not environment.lock:
            self.output.say(
                f"{environment.origin} has no lock: it was resolved once for this store and nothing about it is "
                "verified",
                "WARNING",
            )
        Tenancy(environment, self.supervisor).enter()
        if self.attempt is None:
            self.output.say(f"environment {environment.path}", group="environment")
            self.report(result="success")
            return
        task = environ["DKIST_TASK"]
        variables = {
            **task_variables(environ),
            "VIRTUAL_ENV": environment.path,
            "PATH": f"{environment.path}/bin:{environ.get('PATH', os.defpath)}",
            "DKIST_OUTCOME_FILE": self.attempt.outcome_file,
            "DKIST_STOP_FILE": self.attempt.stop_file,
            "DKIST_LOG_FORMAT": "records",
        }
        command = [f"{environment.path}/bin/python", "-P", "-u", "-m", "dkist_task", request["action"], task]
        self.supervisor.start(command, variables)
        # The launcher is on its way: nothing that it writes is read before what can wait is done.
        from .memory import KillCount

        self.kills = KillCount()
        self.output.say(f"environment {environment.path}", group="environment")
        self.output.say(f"task {task}", group="task")
        self.supervisor.finish()

    def end_for(self, stopped: StoppedError) -> None:
        """End the task or the build, saying why; report as soon as its own process is gone."""
        if self.attempt is not None and self.kills is not None:
            try:
                with open(self.attempt.stop_file + ".new", "w", encoding="utf-8") as file:
                    file.write(render_json({"stop": stopped.stop, "text": str(stopped)}))
                os.rename(self.attempt.stop_file + ".new", self.attempt.stop_file)
            except OSError as error:
                self.output.say(f"the task cannot learn why it is stopped: {error}", "WARNING")
        self.output.say(
            f"{stopped.stop}: {stopped}; ending {'the task' if self.kills else 'the start of the task'}: SIGTERM "
            f"now, SIGKILL after {STOP_GRACE_SECONDS:.0f} s to what is left",
            "WARNING",
        )

        def pause(seconds: float) -> None:
            if self.supervisor.children.status is not None:
                self.report_end()
            self.supervisor.wait(seconds)

        self.supervisor.children.end(pause)
        self.report_end()

    def report_end(self) -> None:
        """Report how the task ended, once."""
        if self.is_reported:
            return
        self.supervisor.drain()
        members = self.end_of_task() if self.kills else {}
        if self.stopped is not None:
            stop = {"result": self.stopped.stop, "reason": str(self.stopped), "can_retry": True}
            members = {**members, **stop, "is_out_of_memory": False}
        self.report(**members)

    def end_of_task(self) -> dict[str, Any]:
        """Return how the task ended, from the launcher's word, its exit status and the kernel's counters."""
        from .result import members_of_outcome

        children = self.supervisor.children
        outcome = self.attempt.outcome() if self.attempt else {}
        members = members_of_outcome(outcome, children.usage)
        said = outcome.get("result")
        if not children.status and said in {"success", "skip"}:
            return {**members, "result": said, "exit_status": 0}
        from .cold.diagnosis import damage, diagnosis

        if self.environment is None or self.kills is None:
            raise AssertionError
        members.update(diagnosis(children.status or 0, said, members, self.kills))
        members["reason"] += damage(self.environment, members["error_type"])
        return members

    def report(self, **members: Any) -> None:
        """Say in the log how the task ended and what it leaves behind, and report the result."""
        from .result import end_text, exit_status_of, result_of, write_result

        self.is_reported = True
        path = self.environment.path if self.environment else None
        result = result_of(**members, seconds=time.monotonic() - self.begin, environment=path)
        self.exit_status = exit_status_of(result)
        if self.kills:
            self.output.say(end_text(result), "ERROR" if self.exit_status else "INFO", group=None)
            self.supervisor.children.reap()
            left = descendants(os.getpid())
            if left and self.stopped is None:
                self.output.say(f"the task left processes {left} behind; ending them", "WARNING")
        try:
            self.supervisor.flush()
        except StoppedError:  # too late to change what happened, but no reader is waited for any longer than in a stop
            self.supervisor.flush()
        write_result(result, self.supervisor)
''',
    'runner.signals': r'''"""Signals: `_signal` is `signal` without ``enum``, which takes 2 ms of each start."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
else:
    try:
        import _signal as signal
    except ImportError:
        import signal

__all__ = ["STOP_GRACE_SECONDS", "STOP_SIGNALS", "ended_with", "send", "signal", "signal_name"]

STOP_GRACE_SECONDS = 10.0
"""From SIGTERM to SIGKILL. What Python may take of it for unwinding and for spans fits into it."""
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def send(pids: list[int], number: int) -> None:
    """Send a signal to those that are still there and may get one."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except OSError:
            continue


def signal_name(number: int) -> str:
    """Return the name of a signal."""
    from signal import Signals

    try:
        return Signals(number).name
    except ValueError:
        return f"signal {number}"


def ended_with(status: int) -> str:
    """Return how a program ended, from the status that `wait` gave."""
    if os.WIFSIGNALED(status):
        return signal_name(os.WTERMSIG(status))
    return f"exit status {os.WEXITSTATUS(status)}"
''',
    'runner.store': r'''"""The environment store: where it is, what is in it, and whose it is."""

from __future__ import annotations

import fcntl
import os

from .errors import CannotRunError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

# The store: <first 32 hex digits of the digest>-py<X.Y>-<machine>/, a lock beside each, and the attempts.
MARKER = ".complete"
"""Written last into an environment: the path of its interpreter's os.py, then what the environment was built for."""
LOCK_SUFFIX = ".lock"
"""The lock is shared to use an environment, exclusive to build or remove it. Its time is that of the last use."""
ATTEMPTS = "attempts"
BUILD_FAILED = "failed"
"""What a lock says to those that waited for a build."""
LOOK_SECONDS = 0.1
"""How often a lock that somebody else holds is tried."""


def store_folder(environ: Mapping[str, str]) -> str:
    """Return the folder of the environment store."""
    cache = environ.get("XDG_CACHE_HOME") or (environ["HOME"] + "/.cache" if environ.get("HOME") else "")
    store = environ.get("DKIST_ENVIRONMENT_STORE") or (cache and cache + "/dkist/environments")
    if not store:
        raise CannotRunError(
            "set DKIST_ENVIRONMENT_STORE to the absolute path of the environment store: HOME is not set",
            can_retry=False,
        )
    if not store.startswith("/"):
        raise CannotRunError(
            f"the environment store {store} is not an absolute path; set DKIST_ENVIRONMENT_STORE to one",
            can_retry=False,
        )
    return store.rstrip("/")


def open_store(store: str) -> None:
    """Make the store where it is missing; refuse one that is not this user's alone, or on a network file system."""
    try:
        os.makedirs(store, 0o755, exist_ok=True)
        status = os.stat(store)
    except OSError as error:
        raise CannotRunError(f"cannot write to the environment store {store}: {error.strerror}") from error
    refuse_other_owner(store, status.st_uid)
    if status.st_mode & 0o022:
        raise CannotRunError(
            f"the environment store {store} can be written to by others than its owner (mode "
            f"{status.st_mode & 0o7777:o}), who could change what tasks run; take that away with 'chmod go-w {store}', "
            "or set DKIST_ENVIRONMENT_STORE"
        )


def refuse_other_owner(path: str, owner: int) -> None:
    """Raise CannotRunError for what another user put there."""
    if owner != os.geteuid():
        import pwd

        def name(uid: int) -> str:
            try:
                return pwd.getpwuid(uid).pw_name
            except KeyError:
                return str(uid)

        raise CannotRunError(
            f"{path} belongs to the user {name(owner)}, but this is {name(os.geteuid())}: a store serves one user; run "
            "it as the user that runs the tasks, or set DKIST_ENVIRONMENT_STORE to a folder of this user"
        )


def hexdigest(content: bytes) -> str:
    """Return the SHA-256 of some bytes."""
    for name in ("_sha2", "_sha256", "hashlib"):  # from 3.12 on, before, and always
        try:
            return str(__import__(name).sha256(content).hexdigest())
        except ImportError:
            continue
    raise AssertionError


def take_lock(descriptor: int, kind: int) -> bool:
    """Take a lock, unless somebody else holds it; return whether it was taken."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
''',
    'runner.supervisor': r'''"""Waiting for everything at once, without a wake-up while nothing happens."""

from __future__ import annotations

import os
import select
import time

from .errors import StoppedError
from .processes import Children, spawn
from .signals import STOP_GRACE_SECONDS, STOP_SIGNALS, signal, signal_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .log import Output

NO_PIDFD_LOOK_SECONDS = 1.0
"""How often watched processes are looked for, only on kernels without pidfd_open (before 5.3)."""
BLOCK_BYTES = 65_536
TAIL_BYTES = 4_000
"""What is kept of a program's last output, for the reason of a failed build."""


class Supervisor:
    """Wait for everything at once: commands, signals, the death of what is watched, what programs write."""

    def __init__(self, output: Output, pipe: tuple[int, int]) -> None:
        self.output = output
        self.pipe, self.inlet = pipe
        """What programs write to: one pipe for all of them, in a place where the guardian has its end open, too."""
        self.children = Children()
        self.readers: dict[int, Callable[[int], object]] = {}
        self.polled: list[int] = []
        """Processes whose end this kernel does not report."""
        self.stopped: StoppedError | None = None
        self.is_ending = False
        """Set once a stop has been raised: it is raised once."""
        self.end_by = 0.0
        """Until when a stop waits for the reader of the log."""
        self.is_shown = True
        self.tail = b""
        self.is_running = False
        """Whether there is a program whose output counts. What a child that it left behind writes is read, and lost."""
        wakeup, self.wakeup = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(self.wakeup, warn_on_full_buffer=False)
        for number in (*STOP_SIGNALS, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)  # its byte in the pipe says all
        self.readers[wakeup] = self.read_signals
        self.readers[self.pipe] = self.read_program

    def stop(self, stop: str, text: str) -> None:
        """Ask for the end of the task; the first who does gives the reason."""
        if self.stopped is None:
            self.stopped = StoppedError(stop, text)

    def watch(self, pid: int, what: str) -> None:
        """Stop the task when a process is gone."""
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            self.stop("cancellation", what)
        except OSError:  # cannot look: no sign of an end
            self.polled.append(pid)
        else:

            def is_gone(descriptor: int) -> None:
                del self.readers[descriptor]
                self.stop("cancellation", what)

            self.readers[descriptor] = is_gone

    def wait(self, seconds: float | None = None) -> None:
        """Serve what happens next, within some seconds; raise StoppedError once if the task is to end."""
        if self.polled:
            seconds = NO_PIDFD_LOOK_SECONDS if seconds is None else min(seconds, NO_PIDFD_LOOK_SECONDS)
        poll = select.poll()
        for descriptor in self.readers:
            if not (self.output.waiting and descriptor == self.pipe):
                poll.register(descriptor, select.POLLIN)
        if self.output.waiting:
            poll.register(self.output.descriptor, select.POLLOUT)
        if self.stopped is None or self.is_ending:
            for descriptor, _ in poll.poll(None if seconds is None else max(0, seconds) * 1000 + 0.5):
                if descriptor in self.readers:
                    self.readers[descriptor](descriptor)
                else:
                    self.output.write()
            self.look()
        if self.stopped is not None and not self.is_ending:
            self.is_ending = True
            self.end_by = time.monotonic() + STOP_GRACE_SECONDS
            raise self.stopped

    def look(self) -> None:
        """Look for the watched processes whose end this kernel does not report."""
        for pid in self.polled:
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                self.stop("cancellation", f"process {pid}, which asked for the task, is gone")
            except OSError:
                continue  # there, but another user's

    def read_signals(self, descriptor: int) -> None:
        """Take the numbers of the signals that came."""
        for number in os.read(descriptor, 4096):
            if number in STOP_SIGNALS:
                self.stop("cancellation", f"the runner got {signal_name(number)}")

    def read_program(self, descriptor: int) -> int:
        """Take what a program wrote, and return how much that was."""
        try:
            block = os.read(descriptor, BLOCK_BYTES)
        except BlockingIOError:
            return 0
        if self.is_running:
            self.tail = (self.tail + block[-TAIL_BYTES:])[-TAIL_BYTES:]
            if self.is_shown:
                self.output.feed(block)
        return len(block)

    def start(
        self, command: list[str], environ: Mapping[str, str], *, folder: str | None = None, is_shown: bool = True
    ) -> None:
        """Start a program, with its output in the log, or only in `tail`."""
        self.tail, self.is_shown, self.is_running = b"", is_shown, True
        self.children.status = None
        self.children.awaited = spawn(command, environ, self.inlet, folder)

    def finish(self) -> int:
        """Wait for the end of the program, and return its status as `wait` gives it."""
        while self.children.reap() and self.children.status is None:
            self.wait()
        self.drain()
        return self.children.status or 0

    def drain(self) -> None:
        """Take what was in the pipe when the program ended, and not what a child of it may go on writing."""
        left = BLOCK_BYTES if self.is_running else 0  # a pipe holds no more
        while left > 0 and self.flush():
            left -= self.read_program(self.pipe) or left
        self.output.finish_line()
        self.is_running = False

    def flush(self) -> bool:
        """Wait until the reader has taken what waits for it; return False for one that stands still in a stop."""
        while self.output.waiting:
            left = self.end_by - time.monotonic() if self.is_ending else None
            if left is not None and left <= 0:
                return False
            self.wait(left)
        return True
''',
    'runner.tenancy': r'''"""The lock of an environment, for as long as a task uses it."""

from __future__ import annotations

import fcntl
import os
import time

from .errors import CannotRunError
from .store import BUILD_FAILED, LOCK_SUFFIX, LOOK_SECONDS, take_lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .environment import Environment
    from .supervisor import Supervisor

ENVIRONMENT_WAIT_SECONDS = 1800.0
"""How long a task waits for others that hold its environment: longer than any build that goes well."""


class Tenancy:
    """The use of an environment by this runner: shared with other tasks, or alone to build it."""

    def __init__(self, environment: Environment, supervisor: Supervisor) -> None:
        self.environment = environment
        self.path = environment.path
        self.supervisor = supervisor
        self.descriptor = -1

    def holder(self) -> str:
        """Return what the lock says of who holds it."""
        os.lseek(self.descriptor, 0, os.SEEK_SET)
        return os.read(self.descriptor, 200).decode(errors="replace").strip() or "another task"

    def write_holder(self, text: str) -> None:
        """Say in the lock who holds it; this also sets the time of the last use."""
        os.ftruncate(self.descriptor, 0)
        os.write(self.descriptor, text.encode())
        os.utime(self.descriptor)

    def enter(self) -> None:
        """Hold the shared lock of a usable environment; build it where nobody else does."""
        try:
            self.descriptor = os.open(self.path + LOCK_SUFFIX, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise CannotRunError(
                f"cannot write to the environment store {self.environment.store}: {error.strerror}"
            ) from error
        # Inherited, so that what a task or a build leaves behind keeps the environment.
        fcntl.fcntl(self.descriptor, fcntl.F_SETFD, 0)
        deadline = time.monotonic() + ENVIRONMENT_WAIT_SECONDS
        has_waited = False
        while not (
            self.environment.is_usable() and take_lock(self.descriptor, fcntl.LOCK_SH) and self.environment.is_usable()
        ):
            if take_lock(self.descriptor, fcntl.LOCK_EX) and not self.environment.is_usable():
                self.build()
            if not take_lock(self.descriptor, fcntl.LOCK_SH):
                self.wait_for_others(deadline)
                has_waited = True
            if self.environment.is_usable():
                break
            if has_waited and self.holder() == BUILD_FAILED:
                raise CannotRunError(f"the build of {self.path} that this task waited for failed; its log says why")
            if time.monotonic() > deadline:
                raise CannotRunError(f"{self.path} has to be built again, but is in use")
            fcntl.flock(self.descriptor, fcntl.LOCK_UN)
            self.supervisor.wait(LOOK_SECONDS * (1 + os.getpid() % 7) / 4)  # not all of those that wait at once
        self.write_holder("")

    def wait_for_others(self, deadline: float) -> None:
        """Wait for the shared lock: the exclusive one would be had when the others' tasks are over."""
        self.supervisor.output.say(f"waiting for {self.path}, held by {self.holder()}")
        while not take_lock(self.descriptor, fcntl.LOCK_SH):
            if time.monotonic() > deadline:
                raise CannotRunError(
                    f"gave up after {ENVIRONMENT_WAIT_SECONDS:.0f} s: {self.path} is still held by {self.holder()}"
                )
            self.supervisor.wait(LOOK_SECONDS)

    def build(self) -> None:
        """Build it, or keep nothing of it and report that to those that wait."""
        from .cold.build import Build

        self.write_holder(f"process {os.getpid()} on {os.uname().nodename}\n")
        try:
            Build(self.environment, self.supervisor).make()
        except CannotRunError:
            self.write_holder(BUILD_FAILED)
            raise
''',
    'runner.variables': r'''"""Which variables of the worker a task and a build may see."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

# What stays outside: the worker's own Python, Airflow's settings and tokens, what would change a build.
KEPT_OUTSIDE = (
    *("AIRFLOW_", "_AIRFLOW", "UV_", "PIP_", "PYTHON", "__PYVENV", "VIRTUAL_ENV", "CONDA"),
    *("DKIST_OUTCOME_FILE", "DKIST_STOP_FILE", "DKIST_LOG_FORMAT"),
)
PASSED_ALWAYS = ("AIRFLOW_CTX_", "DKIST_", "OTEL_", "LC_")
NAMES_PASSED_ALWAYS = ("PATH", "HOME", "LANG", "TZ", "TMPDIR", "USER", "LOGNAME", "TRACEPARENT", "TRACESTATE")
BUILD_VARIABLES = (
    *("UV_INDEX*", "UV_DEFAULT_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_NO_INDEX", "UV_CONFIG_FILE"),
    *("UV_HTTP_*", "UV_KEYRING_PROVIDER", "UV_CREDENTIALS_DIR", "UV_CACHE_DIR", "UV_OFFLINE", "UV_NATIVE_TLS"),
    *("UV_SYSTEM_CERTS", "UV_INSECURE_HOST"),
)
"""uv's own variables that say where packages come from: the build gets them, the task does not."""


def is_kept_outside(name: str) -> bool:
    """Return whether neither a build nor a task may see a variable of the worker."""
    if not (name.isascii() and name.isidentifier()) or name in {"ENV", "BASH_ENV"}:  # such as exported functions
        return True
    return name.startswith(KEPT_OUTSIDE) and not name.startswith("AIRFLOW_CTX_")


def matches(name: str, pattern: str) -> bool:
    """Return whether a name is the pattern's, which may hold one star."""
    head, star, tail = pattern.partition("*")
    if not star:
        return name == pattern
    return len(name) >= len(head) + len(tail) and name.startswith(head) and name.endswith(tail)


def task_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what the task may see of the worker's environment and the DAG's variables."""
    passed = {name: value for name, value in environ.items() if not is_kept_outside(name)}
    patterns = environ.get("DKIST_TASK_VARIABLES", "").split()
    if patterns:
        passed = {
            name: value
            for name, value in passed.items()
            if name.startswith(PASSED_ALWAYS)
            or name in NAMES_PASSED_ALWAYS
            or any(matches(name, pattern) for pattern in patterns)
        }
    return passed


def build_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what a build may see: uv's settings besides, and nothing that an index would not need."""
    return {
        name: value
        for name, value in environ.items()
        if not is_kept_outside(name) or any(matches(name, pattern) for pattern in BUILD_VARIABLES)
    }
''',
}

dag = make_dag(WORKFLOW, TASKS, RUNNER)
