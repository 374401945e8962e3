"""A small HTTP server in the shapes of Airflow's REST API, for what a real Airflow does not do on demand."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from uuid import UUID

NOW = datetime.now(UTC).replace(microsecond=123456)
CREATED = NOW - timedelta(hours=2)


def iso(moment: datetime) -> str:
    """Return a time as Airflow writes it."""
    return moment.isoformat().replace("+00:00", "Z")


def instance_id(made: datetime, number: int = 0) -> str:
    """Return an id of version 7 that was made at a time."""
    return str(UUID(int=int(made.timestamp() * 1000) << 80 | 7 << 76 | 2 << 62 | number))


def dag_row(
    dag_id: str = "vbi_l0_1.0.0", *, owner: str = "DKIST Data Center", tags: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Return a DAG as the API lists it."""
    names = tags or ("vbi", "l0", "vbi_l0", "1.0.0")
    return {"dag_id": dag_id, "owners": [owner], "tags": [{"name": name} for name in names]}


def run_row(
    run_id: str = "r1", *, dag_id: str = "vbi_l0_1.0.0", state: str = "failed", **members: Any
) -> dict[str, Any]:
    """Return a run as the API lists it."""
    return {
        "dag_id": dag_id,
        "dag_run_id": run_id,
        "state": state,
        "run_after": iso(CREATED),
        "queued_at": iso(CREATED),
        "start_date": iso(CREATED),
        "end_date": iso(NOW - timedelta(hours=1)) if state in {"failed", "success"} else None,
        "conf": {"recipe_run_id": 7},
        **members,
    }


def task_row(
    task_id: str = "Calibrate",
    run_id: str = "r1",
    *,
    dag_id: str = "vbi_l0_1.0.0",
    state: str | None = "failed",
    made: datetime = CREATED,
    **members: Any,
) -> dict[str, Any]:
    """Return the latest attempt of a task as the API lists it."""
    return {
        "id": instance_id(made),
        "dag_id": dag_id,
        "dag_run_id": run_id,
        "task_id": task_id,
        "map_index": -1,
        "state": state,
        "try_number": 1,
        "max_tries": 0,
        "scheduled_when": iso(CREATED + timedelta(seconds=5)),
        "start_date": iso(CREATED + timedelta(seconds=6)),
        "end_date": iso(NOW - timedelta(hours=1)) if state != "running" else None,
        "queue": "default",
        "hostname": "worker-1",
        **members,
    }


@dataclass
class AirflowServer:
    """What the server answers, and what it was asked."""

    url: str = ""
    version: str = "3.3.2"
    dags: list[dict[str, Any]] = field(default_factory=lambda: [dag_row()])
    runs: list[dict[str, Any]] = field(default_factory=list)
    tasks: list[dict[str, Any]] = field(default_factory=list)
    tries: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    logs: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    definitions: list[dict[str, Any]] = field(default_factory=list)
    page: int = 100
    tokens: set[str] | None = None
    """Tokens that are accepted; None for all."""
    users: dict[str, str] = field(default_factory=dict)
    """Passwords by user."""
    faults: list[tuple[int, bytes, dict[str, str]]] = field(default_factory=list)
    """Answers to the next requests of the API, in place of the right ones."""
    asked: list[str] = field(default_factory=list)
    """Method, path and token of each request."""

    def answer(self, path: str, query: dict[str, list[str]], body: Any) -> Any:
        """Return the answer to a question; None where there is none."""
        parts = path.strip("/").split("/")
        lists = {
            "/dags/~/dagRuns/list": ("dag_runs", self.runs, {"states": "state", "dag_ids": "dag_id"}),
            "/dags/~/dagRuns/~/taskInstances/list": (
                "task_instances",
                self.tasks,
                {"state": "state", "dag_ids": "dag_id", "dag_run_ids": "dag_run_id"},
            ),
        }
        if path in lists:
            return self.paged_of(*lists[path], body)
        if path == "/dags":
            found = [row for row in self.dags if query["owners"][0] in row["owners"]]
            return self.paged("dags", found, int(query["limit"][0]), int(query["offset"][0]))
        plain = {
            "version": {"version": self.version},
            "health": {
                "metadatabase": {"status": "healthy"},
                "scheduler": {"status": "unhealthy"},
                "triggerer": {"status": None},
            },
            "tasks": {"tasks": self.definitions},
            "tries": {"task_instances": self.tries.get(parts[5], []) if len(parts) > 5 else []},
        }
        if parts[-1] in plain:
            return plain[parts[-1]]
        if "logs" in parts:
            return self.logs.get(parts[5])
        return next((row for row in self.runs if row["dag_run_id"] == parts[-1]), None)

    def paged_of(self, key: str, rows: list[dict[str, Any]], members: dict[str, str], body: Any) -> dict[str, Any]:
        """Return a page of the rows that a body asks for."""
        found = [
            row
            for row in rows
            if all(row[member] in body[name] for name, member in members.items() if name in body)
            and ("end_date_gte" not in body or (row["end_date"] and row["end_date"] >= body["end_date_gte"]))
        ]
        return self.paged(key, found, body["page_limit"], body["page_offset"])

    def paged(self, key: str, rows: list[Any], limit: int, offset: int) -> dict[str, Any]:
        """Return a page; the server has a limit of its own, as Airflow does."""
        return {key: rows[offset : offset + min(limit, self.page)], "total_entries": len(rows)}


class Handler(BaseHTTPRequestHandler):
    """Answers one request from the state of its server."""

    state: AirflowServer

    def log_message(self, format: str, *args: Any) -> None:
        """Be silent."""

    def do_GET(self) -> None:
        """Answer a question without a body."""
        self.answer_any(None)

    def do_POST(self) -> None:
        """Answer a question with a body."""
        self.answer_any(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def answer_any(self, body: Any) -> None:
        """Answer."""
        parts, state = urlsplit(self.path), self.state
        token = (self.headers["Authorization"] or "").removeprefix("Bearer ")
        state.asked.append(f"{self.command} {parts.path} {token}".strip())
        if parts.path == "/auth/token":
            self.log_in(body)
        elif state.tokens is not None and token not in state.tokens:
            self.send(401, b'{"detail": "Token has expired"}')
        elif state.faults:
            self.send(*state.faults.pop(0))
        else:
            answer = state.answer(unquote(parts.path.removeprefix("/api/v2")), parse_qs(parts.query), body)
            if answer is None:
                self.send(404, b'{"detail": "not found"}')
            elif isinstance(answer, list):
                self.send(200, b"".join(json.dumps(line).encode() + b"\n" for line in answer))
            else:
                self.send(200, json.dumps(answer).encode())

    def log_in(self, body: Any) -> None:
        """Give a token, if the login is right."""
        state = self.state
        if body is not None and state.users.get(body["username"]) != body["password"]:
            self.send(401, b'{"detail": "Invalid credentials"}')
        elif body is None and state.users:
            self.send(403, b'{"detail": "This method is only allowed if `simple_auth_manager_all_admins` is True"}')
        else:
            new = f"token-{len(state.asked)}"
            if state.tokens is not None:
                state.tokens.add(new)
            self.send(201, json.dumps({"access_token": new}).encode())

    def send(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        """Send an answer."""
        self.send_response(status)
        for name, text in (headers or {}).items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def airflow_server() -> Iterator[AirflowServer]:
    """Serve on a port of this host."""
    state = AirflowServer()
    handler = type("HandlerOfState", (Handler,), {"state": state})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        state.url = f"http://127.0.0.1:{http.server_address[1]}"
        threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        try:
            yield state
        finally:
            http.shutdown()
