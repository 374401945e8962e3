"""The part of Airflow's REST API (version 2, the same on every Airflow 3) that tests and demo use."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

REQUEST_SECONDS = 120  # the first request of each kind takes seconds, and a busy machine ten times as long
POLL_SECONDS = 0.25
PAGE = 100

# SQLite takes one writer at a time. Airflow answers with an error if a request waits too long. Seconds before retries.
DATABASE_PAUSES = (0.5, 1, 2, 4)

FINAL_RUN_STATES = frozenset({"success", "failed"})


class AirflowRefusalError(RuntimeError):
    """The API answered with an error.

    Attributes
    ----------
    status
        HTTP status.
    detail
        The API's explanation.
    """

    def __init__(self, method: str, path: str, status: int, detail: Any) -> None:
        super().__init__(f"{method} {path}: {status}: {detail}")
        self.status = status
        self.detail = detail

    @property
    def is_of_database(self) -> bool:
        """Whether the database refused the change, so that nothing was done."""
        return self.status == 500 and isinstance(self.detail, dict) and self.detail.get("reason") == "Database error"


@dataclass(frozen=True)
class TaskState:
    """One task of one run, as the API reports it."""

    name: str
    """Task id: the class's name in an exported workflow."""
    state: str
    """Airflow's state; ``none`` before it is scheduled."""
    try_number: int
    """Attempt, from 1; 0 before the first."""
    start: datetime | None
    """Start of the latest attempt."""
    end: datetime | None
    """End of the latest attempt."""
    queue: str
    """Executor queue."""
    pool: str
    """Airflow pool."""

    @property
    def seconds(self) -> float | None:
        """Duration of the latest attempt, None while there is no end."""
        return (self.end - self.start).total_seconds() if self.start and self.end else None


class AirflowApi:
    """A connection to an API server that asks for no password, unless `log_in` is called first.

    Parameters
    ----------
    url : str
        Address of the server, without ``/api/v2``.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._token: str | None = None

    def log_in(self, user: str, password: str) -> None:
        """Use the rights of a user from now on.

        Raises
        ------
        AirflowRefusalError
            The server knows no such user and password.
        """
        self._token = self.request("POST", "/auth/token", {"username": user, "password": password})["access_token"]

    def request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Send one request to a path below the server's address and return the decoded answer.

        Raises
        ------
        AirflowRefusalError
            The server answered with an error.
        OSError
            The server cannot be reached.
        """
        for seconds in DATABASE_PAUSES:
            try:
                return self._send(method, path, body)
            except AirflowRefusalError as refusal:
                if not refusal.is_of_database:
                    raise
                time.sleep(seconds)
        return self._send(method, path, body)

    def _send(self, method: str, path: str, body: Mapping[str, Any] | None) -> Any:
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        if path.startswith("/api/") and not path.startswith("/api/v2/monitor/"):
            if self._token is None:
                self._token = self.request("GET", "/auth/token")["access_token"]
            headers["Authorization"] = f"Bearer {self._token}"
        request = urllib.request.Request(
            self.url + path,
            method=method,
            headers=headers,
            data=None if body is None else json.dumps(body).encode(),
        )
        try:
            with urllib.request.urlopen(request, timeout=REQUEST_SECONDS) as response:
                content = response.read()
        except urllib.error.HTTPError as error:
            with error:
                text = error.read().decode(errors="replace")
            try:
                detail = json.loads(text)["detail"]
            except (ValueError, KeyError, TypeError):
                detail = text
            raise AirflowRefusalError(method, path, error.code, detail) from error
        return json.loads(content) if content else None

    def health(self) -> dict[str, Any]:
        """Return the API server's view of the components."""
        answer: dict[str, Any] = self.request("GET", "/api/v2/monitor/health")
        return answer

    def import_errors(self) -> dict[str, str]:
        """Return the traceback of each DAG file that cannot be imported, by file name."""
        answer = self.request("GET", f"/api/v2/importErrors?limit={PAGE}")
        return {error["filename"]: error["stack_trace"] for error in answer["import_errors"]}

    def dag_ids(self) -> set[str]:
        """Return the ids of the DAGs that Airflow knows."""
        return {dag["dag_id"] for dag in self._pages("/api/v2/dags", "dags")}

    def wait_for_dag(self, dag_id: str, *, timeout: float = 120) -> None:
        """Wait until a DAG can be triggered.

        Raises
        ------
        TimeoutError
            It did not appear. The message has the import errors of the dags folder.
        """
        deadline = time.monotonic() + timeout
        while not self._has_dag(dag_id):
            if time.monotonic() > deadline:
                errors = "\n".join(f"{name}:\n{trace}" for name, trace in self.import_errors().items())
                raise TimeoutError(
                    f"DAG {dag_id!r} did not appear within {timeout:g} s; import errors: {errors or 'none'}"
                )
            time.sleep(POLL_SECONDS)

    def trigger(
        self,
        dag_id: str,
        recipe_run_id: Any = None,
        *,
        conf: Mapping[str, Any] | None = None,
        run_id: str | None = None,
    ) -> str:
        """Start a run and return its id.

        Parameters
        ----------
        dag_id : str
            The DAG.
        recipe_run_id : Any, optional
            The configuration's value of this name; None to leave it out.
        conf : Mapping[str, Any], optional
            More configuration.
        run_id : str, optional
            Id of the run; None lets Airflow make one.

        Raises
        ------
        AirflowRefusalError
            The DAG does not accept the configuration (400) or does not exist (404).
        """
        given = {} if recipe_run_id is None else {"recipe_run_id": recipe_run_id}
        body: dict[str, Any] = {"logical_date": None, "conf": {**given, **(conf or {})}}
        if run_id is not None:
            body["dag_run_id"] = run_id
        answer: str = self.request("POST", f"/api/v2/dags/{dag_id}/dagRuns", body)["dag_run_id"]
        return answer

    def run_state(self, dag_id: str, run_id: str) -> str:
        """Return the state of a run."""
        answer: str = self.request("GET", _run(dag_id, run_id))["state"]
        return answer

    def tasks(self, dag_id: str, run_id: str) -> dict[str, TaskState]:
        """Return every task of a run by name."""
        found = self._pages(_run(dag_id, run_id) + "/taskInstances", "task_instances")
        return {one["task_id"]: _task_state(one) for one in found}

    def wait_for_run(
        self,
        dag_id: str,
        run_id: str,
        *,
        on_change: Callable[[TaskState], None] = lambda _: None,
        timeout: float = 240,
    ) -> str:
        """Wait until a run ends and return its final state, ``success`` or ``failed``.

        Parameters
        ----------
        dag_id, run_id : str
            The run.
        on_change : Callable[[TaskState], None], optional
            Called with a task whenever its state or attempt has changed.
        timeout : float, optional
            Seconds after which to give up.

        Raises
        ------
        TimeoutError
            The run did not end. The message has the state of each task.
        """
        deadline = time.monotonic() + timeout
        seen: dict[str, tuple[str, int]] = {}
        while True:
            state = self.run_state(dag_id, run_id)  # before the tasks, whose states are then at least as new
            tasks = self.tasks(dag_id, run_id)
            for name, task in tasks.items():
                if seen.get(name) != (task.state, task.try_number):
                    seen[name] = (task.state, task.try_number)
                    on_change(task)
            if state in FINAL_RUN_STATES:
                return state
            if time.monotonic() > deadline:
                states = ", ".join(f"{task.name} {task.state}" for task in tasks.values())
                raise TimeoutError(f"run {run_id!r} of {dag_id!r} is {state} after {timeout:g} s: {states}")
            time.sleep(POLL_SECONDS)

    def wait_for_task(
        self, dag_id: str, run_id: str, task: str, states: Iterable[str], *, timeout: float = 120
    ) -> TaskState:
        """Wait until a task is in one of several states, and return it.

        Raises
        ------
        TimeoutError
            The task reached none of them.
        """
        wanted = frozenset(states)
        deadline = time.monotonic() + timeout
        while True:
            found = self.tasks(dag_id, run_id).get(task)
            if found is not None and found.state in wanted:
                return found
            if time.monotonic() > deadline:
                is_now = "absent" if found is None else found.state
                raise TimeoutError(
                    f"task {task!r} of run {run_id!r} is {is_now} after {timeout:g} s, not {sorted(wanted)}"
                )
            time.sleep(POLL_SECONDS)

    def task_log(self, dag_id: str, run_id: str, task: str, try_number: int = 1) -> str:
        """Return the text of one attempt's log, one event a line, without timestamps."""
        path = f"{_run(dag_id, run_id)}/taskInstances/{task}/logs/{try_number}?full_content=true"
        content = self.request("GET", path)["content"]
        return "\n".join(_line(event) for event in content)

    def wait_for_log(
        self, dag_id: str, run_id: str, task: str, text: str, *, try_number: int = 1, timeout: float = 60
    ) -> str:
        """Wait until the log of an attempt has a text, and return the log.

        What Airflow shows of a task's state may be ahead of its log: the state changes when somebody marks the task, or
        when it succeeds, and the process that writes the log still runs.

        Raises
        ------
        TimeoutError
            The text did not appear. The message has the log.
        """
        deadline = time.monotonic() + timeout
        while True:
            try:
                log = self.task_log(dag_id, run_id, task, try_number)
            except AirflowRefusalError as refusal:  # 404 as long as the attempt has not begun
                if refusal.status != 404:
                    raise
                log = ""
            if text in log:
                return log
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"the log of task {task!r} of run {run_id!r} has no {text!r} after {timeout:g} s:\n{log}"
                )
            time.sleep(POLL_SECONDS)

    def set_state(self, dag_id: str, run_id: str, task: str, state: str = "failed") -> None:
        """Mark a task, as a person does in the browser."""
        path = f"{_run(dag_id, run_id)}/taskInstances/{task}"
        self.request("PATCH", path, {"new_state": state})

    def set_run_state(self, dag_id: str, run_id: str, state: str = "failed") -> None:
        """Mark a run, as a person does in the browser."""
        self.request("PATCH", _run(dag_id, run_id), {"state": state})

    def clear(self, dag_id: str, run_id: str, tasks: Iterable[str] = (), *, downstream: bool = True) -> None:
        """Clear tasks of a run, so that they run again.

        Parameters
        ----------
        dag_id, run_id : str
            The run.
        tasks : Iterable[str], optional
            Names of the tasks; empty for all.
        downstream : bool, optional
            Whether to clear the tasks after them too.
        """
        body: dict[str, Any] = {
            "dry_run": False,
            "dag_run_id": run_id,
            "only_failed": False,
            "include_downstream": downstream,
        }
        if names := list(tasks):
            body["task_ids"] = names
        self.request("POST", f"/api/v2/dags/{dag_id}/clearTaskInstances", body)

    def create_pools(self, pools: Mapping[str, Mapping[str, Any]]) -> None:
        """Create the pools that do not exist. ``pools`` is the content of a release's ``pools.json``."""
        there = {pool["name"] for pool in self._pages("/api/v2/pools", "pools")}
        for name in pools.keys() - there:
            self.request("POST", "/api/v2/pools", {"name": name, **pools[name]})

    def _has_dag(self, dag_id: str) -> bool:
        try:
            answer = self.request("GET", f"/api/v2/dags/{dag_id}")
        except AirflowRefusalError as refusal:
            if refusal.status == 404:
                return False
            raise
        return not answer["is_stale"]

    def _pages(self, path: str, key: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while True:
            page = self.request("GET", f"{path}?limit={PAGE}&offset={len(found)}")
            found += page[key]
            if len(found) >= page["total_entries"] or not page[key]:
                return found


def _run(dag_id: str, run_id: str) -> str:
    return f"/api/v2/dags/{dag_id}/dagRuns/{urllib.parse.quote(run_id, safe='')}"


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _task_state(instance: Mapping[str, Any]) -> TaskState:
    return TaskState(
        name=instance["task_id"],
        state=instance["state"] or "none",
        try_number=instance["try_number"],
        start=_time(instance["start_date"]),
        end=_time(instance["end_date"]),
        queue=instance["queue"] or "",
        pool=instance["pool"],
    )


def _line(event: Any) -> str:
    if isinstance(event, str):
        return event
    details = "".join(f"\n{_error(error)}" for error in event.get("error_detail") or ())
    return f"{event['event']}{details}"


def _error(error: Mapping[str, Any]) -> str:
    frames = "".join(f"  {frame['filename']}:{frame['lineno']} in {frame['name']}\n" for frame in error["frames"])
    return f"{frames}{error['exc_type']}: {error['exc_value']}"
