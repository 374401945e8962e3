"""Run a whole deployment on this machine, kill parts of it, and check the result: ``hatch run distributed``.

PostgreSQL on 127.0.0.1:5432 must accept the user postgres. RabbitMQ must be installed; a private broker is started. The
run leaves no process behind and exits with 1 if a check fails. Its files are in ``.demo/distributed/``.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.celery_site import CelerySite, Worker, celery_site, released, run
from harness.demo import EXAMPLE, WORKFLOWS, new_run
from harness.journal import whole_lines
from harness.packages import OWN_PROJECTS, ROOT, build_wheels
from harness.process_tree import is_alive, kill, processes_with, tree
from harness.trial_package import HEAVY_TASKS, JOURNAL_VARIABLE, SLOW_TASKS, Entry, read_journal, trial_package

if TYPE_CHECKING:
    from collections.abc import Callable

QUEUES = {"standard": "default", "large-a": "high_memory", "large-b": "high_memory"}
VERSIONS = ("1.0.0", "2.0.0")
FAILURE_QUEUE = "recipe.run.failure.q"
JOURNAL = "journal.jsonl"
HEAVY_POOL = "high_memory_pool"


class Account:
    """The checks of a run, each printed as soon as it is made."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self.failed: list[str] = []
        """The checks that failed."""

    def say(self, text: str) -> None:
        """Print one line."""
        print(f"{time.monotonic() - self._start:5.0f} s  {text}", flush=True)

    def confirm(self, what: str, *, holds: bool) -> None:
        """Check that a condition holds."""
        self.check(what, seen=holds, expected=True)

    def check(self, what: str, seen: object, expected: object) -> None:
        """Check that a value is the expected one."""
        if seen == expected:
            self.say(f"✓ {what}")
        else:
            self.failed.append(what)
            self.say(f"✗ {what}: {seen!r}, not {expected!r}")


def main() -> int:
    """Run everything and return 0 if every check holds."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    account = Account()
    with new_run(ROOT / ".demo" / "distributed") as made:
        folder = made.folder
        try:
            mistreat(folder, account)
        except (RuntimeError, TimeoutError) as error:
            account.failed.append("the deployment runs")
            account.say(f"✗ {error}")
        left = processes_with(f"{JOURNAL_VARIABLE}={folder / JOURNAL}")
        account.check("nothing is left running", [process.command for process in left], [])
        print(f"\nLogs and journal: {folder}")
    print(f"{len(account.failed)} checks failed" if account.failed else "Every check holds.")
    return 1 if account.failed else 0


def mistreat(folder: Path, account: Account) -> None:
    """Make the packages and the site, and run every check."""
    account.say(f"Building wheels; releasing the example as {' and '.join(VERSIONS)}, and a package of trials")
    wheels = folder / "wheels"
    archives = release_all(folder, wheels)
    journal = folder / JOURNAL
    env = {
        "DKIST_EXAMPLE_DATA": str(folder / "data"),
        "DKIST_EXAMPLE_FRAME_SIZE": "128",
        # A message may take this long on a machine that does all this at once; the default is three seconds.
        "DKIST_MESSAGE_DEADLINE_SECONDS": "30",
        "DKIST_MESSAGE_SPOOL": str(folder / "spool"),
        "DKIST_SPAN_FOLDER": str(folder / "spans"),
        "UV_FIND_LINKS": str(wheels),
        JOURNAL_VARIABLE: str(journal),
    }
    account.say(f"Starting PostgreSQL's database, RabbitMQ, Airflow and the workers {', '.join(QUEUES)}")
    with celery_site(folder, wheels, QUEUES, stores=folder.parents[1] / "stores", env=env) as site:
        account.say(f"Airflow is healthy: {site.airflow.url}")
        for archive in archives:
            account.say(site.deploy(archive).strip().splitlines()[-1])
        ours = {name for name in site.worker_distributions() if name.startswith("dkist")}
        account.check("workers have nothing of ours installed", ours, set())
        trials = Trials(site, account, journal)
        trials.start_workflows()
        trials.check_examples(folder / "spans")
        trials.kill_a_task()
        trials.start_slow()
        trials.fill_the_pool()
        trials.kill_workers()
        trials.finish_slow()


def release_all(folder: Path, wheels: Path) -> list[Path]:
    """Return the archives of both versions of the example and of the trial package."""
    build_wheels(wheels, OWN_PROJECTS)
    for version in VERSIONS:
        copy = folder / f"example-{version}"
        shutil.copytree(EXAMPLE, copy, ignore=shutil.ignore_patterns("__pycache__", ".*"))
        (copy / "src" / "dkist_processing_example" / "__about__.py").write_text(f'__version__ = "{version}"\n')
        build_wheels(wheels, [copy])
    trial = trial_package().write_wheel(wheels)
    unpacked = folder / "trial"
    run(["uv", "pip", "install", "--quiet", "--no-deps", "--target", str(unpacked), str(trial)])
    releases = folder / "releases"
    return [
        *(released(WORKFLOWS, version, wheels, releases) for version in VERSIONS),
        released("dkist_processing_trial.workflows", "1.0.0", wheels, releases, python_path=unpacked),
    ]


class Trials:
    """The checks. Their order keeps them from disturbing each other."""

    def __init__(self, site: CelerySite, account: Account, journal: Path) -> None:
        self.site, self.account, self.airflow = site, account, site.airflow
        self.journal = journal
        self._slow_run = ""
        self._example_runs: dict[str, str] = {}

    def start_workflows(self) -> None:
        """Trigger both versions of the example through the REST API."""
        for number, version in enumerate(VERSIONS, start=1):
            dag_id = f"example_l0_to_l1_{version}"
            self.airflow.wait_for_dag(dag_id)
            self._example_runs[version] = self.airflow.trigger(dag_id, number)
        self.account.say("Triggered both versions of the example")

    def check_examples(self, spans: Path) -> None:
        """Check the worker, the environment and the trace of each task of the example."""
        for version, run_id in self._example_runs.items():
            dag_id = f"example_l0_to_l1_{version}"
            state = self.airflow.wait_for_run(dag_id, run_id, timeout=600)
            self.account.check(f"example {version}: the run succeeds", state, "success")
            tasks = self.airflow.tasks(dag_id, run_id)
            logs = {name: self.airflow.task_log(dag_id, run_id, name, task.try_number) for name, task in tasks.items()}
            self.account.check(
                f"example {version}: every task ran on a worker of its queue",
                {
                    name
                    for name, task in tasks.items()
                    if task.queue != self._worker_of(fact(logs[name], "environment")).queue
                },
                set(),
            )
            self.account.check(
                f"example {version}: every task ran in an environment that has this version",
                {name: fact(log, "distribution") for name, log in logs.items()},
                dict.fromkeys(tasks, f"dkist-processing-example {version}"),
            )
            self.account.check(
                f"example {version}: the spans of its {len(tasks)} tasks form one tree",
                tree_faults(read_spans(spans), version, set(tasks)),
                [],
            )

    def start_slow(self) -> None:
        """Start more tasks than the worker runs at a time, each longer than the broker's consumer timeout."""
        self._slow_run = self._trigger("slow")

    def finish_slow(self) -> None:
        """Check that each slow task ran once, although the broker closed the worker's channel repeatedly."""
        state = self.airflow.wait_for_run("trial_slow_1.0.0", self._slow_run, timeout=300)
        entries = self._entries("Slow")
        self.account.check(
            f"{SLOW_TASKS} tasks that outlast the broker's consumer timeout run exactly once",
            (state, sorted((entry.task, entry.event, entry.attempt) for entry in entries)),
            ("success", [(f"Slow{n}", event, 1) for n in range(SLOW_TASKS) for event in ("end", "start")]),
        )
        said = (self.site.broker.home / "broker.log").read_text()
        self.account.confirm("the broker did close channels over that", holds="has timed out waiting" in said)
        self.account.check("their worker is still there", self.airflow.component("standard").status, None)

    def kill_a_task(self) -> None:
        """Kill a task's process, as the kernel does when memory runs out, and check that the bus has one message."""
        run_id = self._trigger("doomed")
        (entry,) = self._wait_for_entries("Doomed", 1)
        os.kill(entry.pid, signal.SIGKILL)
        state = self.airflow.wait_for_run("trial_doomed_1.0.0", run_id)
        self.account.check("a task killed with SIGKILL fails its run", state, "failed")
        messages = self._failure_messages(1)
        self.account.check(
            "the bus has one failure, of that task",
            {(message["idempotencyKey"], message["taskName"], message["dagRunId"]) for message in messages},
            {(messages[0]["idempotencyKey"], "Doomed", run_id)} if messages else "one message",
        )

    def fill_the_pool(self) -> None:
        """Check that a queue runs no more tasks at a time than its pool has slots. The workers could run four."""
        slots = self.airflow.request("GET", f"/api/v2/pools/{HEAVY_POOL}")["slots"]
        run_id = self._trigger("heavy")
        state = self.airflow.wait_for_run("trial_heavy_1.0.0", run_id, timeout=180)
        self.account.check(f"{HEAVY_TASKS} tasks of queue high_memory succeed", state, "success")
        entries = self._entries("Heavy")
        self.account.check(f"never more than the pool's {slots} at a time", most_at_a_time(entries), slots)
        used = {self._worker_of(entry.prefix).name for entry in entries}
        self.account.confirm("only workers of that queue ran them", holds=used <= {"large-a", "large-b"})

    def kill_workers(self) -> None:
        """Check that a task dies with its worker, and that another worker runs it again."""
        self._kill_a_worker(
            "all of Airflow's processes of", lambda worker: kill([p for p in tree(worker) if p.session == worker])
        )
        self._kill_a_worker("only the main process of", lambda worker: os.kill(worker, signal.SIGKILL))

    def _kill_a_worker(self, what: str, kill_it: Callable[[int], None]) -> None:
        """Kill the worker of a task, check how the task goes on, and start the worker again."""
        known = len(self._entries("Interrupted"))
        run_id = self._trigger("interrupted")
        first = self._wait_for_entries("Interrupted", known + 1)[-1]
        victim = self._worker_of(first.prefix)
        self.account.say(f"Killing {what} worker {victim.name}")
        # The task runs in a session of its own and is not killed here: its supervisor must notice.
        kill_it(self.airflow.component(victim.name).pid)
        died = self._death_of(first.pid)
        state = self.airflow.wait_for_run("trial_interrupted_1.0.0", run_id, timeout=180)
        self.account.check("a task whose worker is killed succeeds at its second attempt", state, "success")
        entries = self._entries("Interrupted")[known:]
        self.account.check(
            "there were two attempts",
            [(entry.event, entry.attempt) for entry in entries],
            [("start", 1), ("start", 2), ("end", 2)],
        )
        second = entries[-1]
        self.account.confirm(
            "the second ran on another worker", holds=self._worker_of(second.prefix).name != victim.name
        )
        self.account.confirm("the first was dead before the second started", holds=died < entries[1].time)
        self.site.start_worker(victim)

    def _trigger(self, name: str) -> str:
        dag_id = f"trial_{name}_1.0.0"
        self.airflow.wait_for_dag(dag_id)
        self.account.say(f"Triggering {dag_id}")
        return self.airflow.trigger(dag_id, 1)

    def _worker_of(self, prefix: str) -> Worker:
        (worker,) = (worker for worker in self.site.workers if Path(prefix).is_relative_to(worker.store))
        return worker

    def _entries(self, task: str) -> list[Entry]:
        return [entry for entry in read_journal(self.journal) if entry.task.startswith(task)]

    def _wait_for_entries(self, task: str, count: int) -> list[Entry]:
        deadline = time.monotonic() + 120
        while len(found := self._entries(task)) < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"task {task} did not start within 120 s")
            time.sleep(0.1)
        return found

    def _failure_messages(self, count: int) -> list[dict[str, str]]:
        found: list[dict[str, str]] = []
        deadline = time.monotonic() + 60
        while len(found) < count and time.monotonic() < deadline:
            found += [json.loads(body) for body in self.site.broker.take(FAILURE_QUEUE)]
            time.sleep(0.5)
        time.sleep(3)  # a second message must not come
        return found + [json.loads(body) for body in self.site.broker.take(FAILURE_QUEUE)]

    def _death_of(self, pid: int) -> float:
        deadline = time.monotonic() + 60
        while is_alive(pid):
            if time.monotonic() > deadline:
                raise TimeoutError(f"process {pid} of the first attempt outlived its worker by 60 s")
            time.sleep(0.05)
        return time.time()


def fact(log: str, name: str) -> str:
    """Return the value of a line in the block that opens a task's log; empty if there is no such line."""
    found = re.search(rf"^{name}: +(.+)$", log, re.MULTILINE)
    return found[1] if found else ""


def read_spans(folder: Path) -> list[dict[str, Any]]:
    """Return every span that the tasks have written."""
    lines = (json.loads(line) for file in folder.rglob("*.jsonl") for line in whole_lines(file))
    return [span for line in lines for r in line["resourceSpans"] for s in r["scopeSpans"] for span in s["spans"]]


def tree_faults(spans: list[dict[str, Any]], version: str, tasks: set[str]) -> list[str]:
    """Return why the spans of a version's run are not one tree with every task; an empty list if they are."""
    of_version = [span for span in spans if attribute(span, "dkist.workflow.version") == version]
    traces = {span["traceId"] for span in of_version}
    if len(traces) != 1:
        return [f"{len(traces)} traces"]
    members = [span for span in spans if span["traceId"] in traces]
    ids = {span["spanId"] for span in members}
    roots = {span.get("parentSpanId") for span in members} - ids
    seen = {attribute(span, "cicd.pipeline.task.name") for span in members} - {None}
    return [
        *(f"{len(roots)} roots" for _ in range(len(roots) != 1)),
        *(f"no span of {task}" for task in sorted(tasks - seen)),
    ]


def attribute(span: dict[str, Any], name: str) -> str | None:
    """Return a text attribute of a span."""
    values = (each["value"].get("stringValue") for each in span["attributes"] if each["key"] == name)
    return next(values, None)


def most_at_a_time(entries: list[Entry]) -> int:
    """Return the largest number of tasks that ran at the same moment."""
    running = most = 0
    for entry in sorted(entries, key=lambda entry: entry.time):
        running += 1 if entry.event == "start" else -1
        most = max(most, running)
    return most


if __name__ == "__main__":
    sys.exit(main())
