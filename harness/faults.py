"""Let a thousand things fail on a real Airflow, and count what the message bus heard of them: ``hatch run faults``.

Tasks end in every way, components and the broker are killed, the disk of the messages is full, and runs are marked and
cleared by hand. Then one ``messages reconcile`` and one ``messages resend`` run. The account compares the distinct keys
in the queue with the final failures in Airflow's database, and the exit status is 1 if they are not the same. A failure
that is not there, but in the task's own journal or in Airflow's audit log, is listed as forgotten by Airflow.

PostgreSQL on 127.0.0.1:5432 must accept the user postgres. RabbitMQ must be installed. The user must be root: a small
disk is mounted for the messages. Nothing is left running. Ctrl-C ends the faults, and the account is of those so far.
Files are in ``.demo/faults/``.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from harness.demo import new_run
from harness.fault_account import Balance, Failure, Witnessed, balance, failures_in
from harness.fault_package import ONCE, read_journal
from harness.fault_plan import HAND, KINDS, PlannedRun, Trouble, plan
from harness.fault_site import FAILURE_QUEUE, FaultSite, fault_site
from harness.packages import ROOT
from harness.rest import FINAL_RUN_STATES, AirflowRefusalError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

ACTIVE_RUNS = 8
"""How many runs go on at a time."""

LOOK_SECONDS = 1.5
"""How often the database is asked how runs go on."""

HAND_SECONDS = 60
"""How long a person waits for the tasks of a run to begin."""

PATIENCE_SECONDS = 90
"""How long a request waits for an API server that is away."""

END_SECONDS = 240
"""How long the last runs may take to end."""

SETTLE_SECONDS = 15
"""How long callbacks may come after the end of a run."""

GOING = {None, "queued", "scheduled", "running", "restarting", "up_for_retry"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run everything and return 0 if distinct keys and distinct failures are the same."""
    parser = argparse.ArgumentParser(prog="hatch run faults", description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1, help="what chooses the faults [default: 1]")
    parser.add_argument("--count", type=int, default=1000, help="how many at least [default: 1000]")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS, metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("--minutes", type=float, default=60, help="no new fault after so many [default: 60]")
    given = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with new_run(ROOT / ".demo" / "faults") as made:
        print(f"Logs: {made.folder}", flush=True)
        with fault_site(made.folder) as site:
            trial = Trial(site)
            trial.say(f"Airflow is healthy: {site.airflow.url}")
            # Some find nothing that is left to fail, such as a mark of a task that has failed by itself.
            is_whole = trial.inject(plan(given.seed, 11 * given.count // 10, given.kinds), given.minutes)
            found = trial.settle()
        print(report(found, trial.faults(), seed=given.seed), flush=True)
    return 0 if found.holds and is_whole else 1


@dataclass
class ActiveRun:
    """A run that goes on."""

    planned: PlannedRun
    """What it is for."""
    dag_id: str
    """Airflow's id of the workflow."""
    run_id: str
    """Airflow's id of the run."""
    begin: float = field(default_factory=time.monotonic)
    """When it was started."""
    is_handled: bool = False
    """Whether a person has done to it what is planned."""


class Trial:
    """The faults, and what they have led to."""

    def __init__(self, site: FaultSite) -> None:
        self.site = site
        self._start = time.monotonic()
        self._active: list[ActiveRun] = []
        self._troubles: list[tuple[float, str]] = []
        self._done: Counter[str] = Counter()
        self._kinds: dict[tuple[str, str], str] = {}
        self._cleared: list[Failure] = []
        self._marked: list[str] = []

    def say(self, text: str) -> None:
        """Print one line."""
        print(f"{time.monotonic() - self._start:5.0f} s  {text}", flush=True)

    def faults(self) -> Counter[str]:
        """Return how many faults there were, by kind: those of tasks by the journal, which they write themselves."""
        met = {(f"fault-{each.run}", each.task) for each in read_journal(self.site.journal) if each.fate != "pass"}
        own = Counter(self._kinds[place] for place in met if self._kinds.get(place, "") not in HAND)
        raised = sum(self._kinds.get(place) == "clear-failed" for place in met)
        return own + self._done + Counter({"raise": raised})

    def inject(self, steps: Iterator[PlannedRun | Trouble], minutes: float) -> bool:
        """Start runs and troubles one after the other until all runs have ended; return whether nobody stopped it."""
        is_whole, last_words = True, 0.0
        end = self._start + 60 * minutes
        step = next(steps, None)
        try:
            while step is not None or self._active:
                self._end_troubles()
                while step is not None and self._begin(step):
                    step = next(steps, None) if time.monotonic() < end else None
                self._look()
                if step is None and time.monotonic() > end + END_SECONDS:
                    break
                if time.monotonic() - last_words > 20:
                    last_words = time.monotonic()
                    self.say(f"{self.faults().total()} faults; {len(self._active)} runs go on")
                time.sleep(LOOK_SECONDS)
        except KeyboardInterrupt:
            is_whole = False
            self.say("Stopped by Ctrl-C: the account is of the faults so far")
        except (OSError, RuntimeError) as error:  # they are worth an account, too
            is_whole = False
            self.say(f"Stopped by an error: {error}")
        self._end_troubles(all_of_them=True)
        self._mark_the_rest()
        return is_whole

    def settle(self) -> Balance:
        """Wait for the end of everything, reconcile, send, and compare."""
        self.say("Waiting for the last runs")
        try:
            self._wait_for_the_end()
        except KeyboardInterrupt:
            self.say("Ctrl-C: the last runs may go on, and the account may not be the same")
        self.say(f"{len(list(self.site.spool.glob('*.json')))} messages wait in the spool; reconciling")
        for command in (["messages", "reconcile", "--since", "24h"], ["messages", "resend"]):
            self.say(self.site.command(*command).strip())
        time.sleep(SETTLE_SECONDS)
        self.say(self.site.command("messages", "resend").strip())
        messages = [json.loads(body) for body in self.site.broker.take(FAILURE_QUEUE)]
        (self.site.folder / "messages.json").write_text(json.dumps(messages, indent=1))
        rows = self.site.rows()
        (self.site.folder / "rows.json").write_text(json.dumps(rows, indent=1))
        sources = Counter(message["source"] for message in messages)
        others = {message["idempotencyKey"] for message in messages if message["source"] != "reconciler"}
        alone = {message["idempotencyKey"] for message in messages} - others
        self.say(
            f"{len(messages)} messages in the queue, by source: {dict(sources)}; "
            f"{len(alone)} failures are reported by the reconciler alone"
        )
        return balance([*self._cleared, *failures_in(rows, self._kinds)], messages, self._witnessed(rows))

    def _witnessed(self, rows: list[dict[str, Any]]) -> set[Witnessed]:
        """Return the attempts without a retry that have failed by their own journal or by Airflow's audit log.

        Also the runs that Airflow has marked as failed by hand, by its answer.
        """
        dag_ids = {row["run_id"]: row["dag_id"] for row in rows}
        found: set[Witnessed] = {((dag_ids[run_id], run_id, None), None) for run_id in self._marked}
        for each in read_journal(self.site.journal):
            run_id = f"fault-{each.run}"
            if each.fate == "raise" and each.task in ONCE:
                found.add(((dag_ids[run_id], run_id, each.task), each.attempt))
        for event in self.site.failures_in_audit_log():
            if event["task_id"] in ONCE:
                found.add(((event["dag_id"], event["run_id"], event["task_id"]), event["try_number"]))
        return found

    def _wait_for_the_end(self) -> None:
        """Wait for the end of the last runs, and for what Airflow calls back after that."""
        self.site.airflow.wait_until_healthy()
        end = time.monotonic() + END_SECONDS
        while left := [row for row in self.site.rows() if is_going(row)]:
            if time.monotonic() > end:
                self.say(f"{len(left)} tasks have not ended: {left[:3]}")
                break
            time.sleep(LOOK_SECONDS)
        time.sleep(SETTLE_SECONDS)

    def _mark_the_rest(self) -> None:
        """Mark the runs that go on as failed: their tasks may sleep for minutes."""
        for run in self._active:
            with suppress(AirflowRefusalError, OSError):
                self._patiently(partial(self.site.airflow.set_run_state, run.dag_id, run.run_id))
                self._marked.append(run.run_id)
                self._done["mark-run"] += 1
        self._active.clear()

    def _begin(self, step: PlannedRun | Trouble) -> bool:
        """Begin a step, unless it is not its time yet."""
        if isinstance(step, Trouble):
            subject = step.kind.partition("-")[2]
            if any(kind.partition("-")[2] == subject for _, kind in self._troubles):
                return False
            self.say(f"{step.kind} for {step.seconds:.0f} s")
            try:
                self.site.begin(step.kind)
            except TimeoutError as error:
                self.say(str(error))
                return True
            self._done[step.kind] += 1
            self._troubles.append((time.monotonic() + step.seconds, step.kind))
            return True
        if len(self._active) >= ACTIVE_RUNS:
            return False
        run = ActiveRun(step, f"fault_{step.workflow}_1.0.0", f"fault-{step.number}")
        self._kinds |= {(run.run_id, task): kind for task, kind in step.kinds.items()}
        (self.site.plans / f"{step.number}.json").write_text(json.dumps(step.fates))
        try:
            self._patiently(lambda: self.site.airflow.trigger(run.dag_id, step.number, run_id=run.run_id))
        except (AirflowRefusalError, OSError) as error:
            if getattr(error, "status", None) != 409:  # an answer was lost with the API server, and the run is there
                self.say(f"{run.run_id} is not started: {error}")
                return True
        self._active.append(run)
        if step.hand in {"mark-task-early", "mark-run-early"}:
            self._handle(run, self.site.rows([run.run_id]))
        return True

    def _patiently(self, request: Callable[[], Any]) -> None:
        """Send a request to the API server, and again while the server is away; meanwhile it may start again."""
        end = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                request()
            except (AirflowRefusalError, OSError) as error:
                is_away = not isinstance(error, AirflowRefusalError) or error.status >= 500
                if not is_away or time.monotonic() > end:
                    raise
            else:
                return
            self._end_troubles()
            time.sleep(0.5)

    def _end_troubles(self, *, all_of_them: bool = False) -> None:
        for end, kind in list(self._troubles):
            if all_of_them or time.monotonic() > end:
                self._troubles.remove((end, kind))
                self.site.end(kind)

    def _look(self) -> None:
        rows = self.site.rows([run.run_id for run in self._active])
        met = {(each.run, each.task) for each in read_journal(self.site.journal)}
        for run in list(self._active):
            tasks = [row for row in rows if row["run_id"] == run.run_id]
            is_over = bool(tasks) and not any(map(is_going, tasks))
            hand = run.planned.hand
            if hand in HAND and not run.is_handled:
                have_begun = all(
                    row["state"] not in GOING or (run.planned.number, row["task_id"]) in met for row in tasks
                )
                is_late = time.monotonic() - run.begin > HAND_SECONDS
                is_ready = is_over if hand in {"mark-ended", "clear-failed"} else have_begun or is_late
                if is_over or is_ready:
                    self._handle(run, tasks)
            elif is_over:
                self._active.remove(run)

    def _handle(self, run: ActiveRun, tasks: list[dict[str, Any]]) -> None:
        """Do to a run what a person does."""
        run.is_handled = True
        hand, airflow = run.planned.hand, self.site.airflow
        ids = run.dag_id, run.run_id
        running = [row["task_id"] for row in tasks if row["state"] == "running"]
        try:
            if hand in {"mark-run", "mark-run-early"}:
                self._patiently(lambda: airflow.set_run_state(*ids))
                self._marked.append(run.run_id)
                self._done[hand] += 1
            elif hand == "clear-running" and running:
                self._patiently(lambda: airflow.clear(*ids, running))
                self._done[hand] += 1
            elif hand == "clear-failed":
                self._cleared += failures_in(tasks, self._kinds)
                self._patiently(lambda: airflow.clear(*ids))
                self._done[hand] += 1
            elif hand in {"mark-task", "mark-success", "mark-task-early", "mark-ended"}:
                marked = running if hand in {"mark-task", "mark-success"} else [row["task_id"] for row in tasks]
                state = "success" if hand == "mark-success" else "failed"
                for task in marked:
                    self._patiently(partial(airflow.set_state, *ids, task, state))
                    self._done[hand] += 1
        except (AirflowRefusalError, OSError) as error:
            self.say(f"{hand} of {run.run_id}: {error}")


def is_going(row: dict[str, Any]) -> bool:
    """Return whether a task, or its run, has not ended."""
    return row["run_state"] not in FINAL_RUN_STATES or row["state"] in GOING - {None}


def report(found: Balance, faults: Counter[str], *, seed: int) -> str:
    """Return the account as a table, and a line for each failure or key that has no partner."""
    lines = [f"{'kind of fault':22}{'faults':>8}{'failures':>10}{'with a key':>12}{'missing':>9}"]
    for kind in (*(kind for kind in KINDS if faults[kind] or found.failures[kind]), "other"):
        failures, reported = found.failures[kind], found.reported[kind]
        lines.append(f"{kind:22}{faults[kind]:8}{failures:10}{reported:12}{failures - reported:9}")
    total = found.failures.total()
    lines.append(f"{'all':22}{faults.total():8}{total:10}{found.reported.total():12}{len(found.missing):9}")
    lines += [f"missing: {failure.kind}: {failure.place} at {failure.end}" for failure in found.missing]
    lines += [f"forgotten by Airflow: {place}: {key}" for place, key in found.forgotten]
    lines += [f"surplus: {place}: {key}" for place, key in found.surplus]
    verdict = "the same" if found.holds else "NOT the same"
    lines.append(
        f"Seed {seed}: {faults.total()} faults, {total} final failures and {len(found.forgotten)} that Airflow forgot, "
        f"{found.keys} distinct keys, {len(found.missing)} missing, {len(found.surplus)} surplus: {verdict}"
    )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
