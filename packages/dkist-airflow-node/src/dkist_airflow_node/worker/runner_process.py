"""Running the runner from Python, without Airflow."""

from __future__ import annotations

import json
import marshal
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dkist_airflow_node.errors import AirflowNodeError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

START = """
import ctypes, fcntl, marshal, os, select, sys, time
size = int.from_bytes(os.read(0, 4), "big")
code = b""
while len(code) < size:
    code += os.read(0, size - len(code)) or sys.exit("the runner was not handed over")
code = marshal.loads(code)
exec(code)
"""
"""
Starts the runner from its compiled form, which comes before the request: its length in four bytes, then its bytes.

A process that compiles the runner's text itself takes 5 MB more for as long as its task runs, and begins 10 ms later:
here the text is compiled while the interpreter starts.
"""

_RECORD = b"\x1e"


class RunnerError(AirflowNodeError):
    """The runner itself failed: it ended without a result."""


@dataclass(frozen=True)
class RunnerResult:
    """What the runner reported of a task or a build."""

    result: str
    """success, failure, error, timeout, cancellation or skip."""
    reason: str
    """Why, for a person."""
    can_retry: bool
    """Whether trying again may help."""
    environment: Path | None
    """The environment of the store, where it came to that."""
    members: Mapping[str, Any]
    """All members of the report."""

    @property
    def is_success(self) -> bool:
        """Whether what was asked for is done; a task that skipped itself has nothing to do."""
        return self.result in {"success", "skip"}


def runner_text() -> str:
    """Return the program that is in every exported DAG file."""
    return files("dkist_airflow_node.worker").joinpath("runner.py").read_text(encoding="utf-8")


def start_runner(
    request: Mapping[str, Any], *, env: Mapping[str, str], cwd: Path | None = None, text: str | None = None
) -> subprocess.Popen[bytes]:
    """Start the runner, with pipes for all three streams.

    Parameters
    ----------
    request
        What it is asked for; see the docstring of ``runner.py``.
    env
        The runner's own environment, which every process of this user can read: no place for a secret.
    cwd
        The working folder of the task; that of this process without it.
    text
        The runner, such as that of a DAG file; this version's without it.
    """
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", START],
        env=env,
        cwd=cwd,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    code = marshal.dumps(compile(text or runner_text(), "<dkist runner>", "exec"))
    if process.stdin is None:
        raise RunnerError("the runner has no pipes")
    with suppress(BrokenPipeError):  # it ended: its standard error says why
        process.stdin.write(len(code).to_bytes(4, "big") + code + json.dumps(request).encode() + b"\n")
        process.stdin.flush()
    return process


def run_runner(
    action: Literal["run", "rollback", "build"],
    environ: Mapping[str, str],
    say: Callable[[str], None],
    *,
    attempt: str | None = None,
    text: str | None = None,
) -> RunnerResult:
    """Run or roll back a task, or build its environment. It ends when this process does.

    Parameters
    ----------
    action
        What to do.
    environ
        The environment of this process and the variables that a DAG sets; see the docstring of ``runner.py``.
    say
        Takes each line of the log.
    attempt
        Only one attempt of this key runs on this host at a time.
    text
        The runner, such as that of a DAG file; this version's without it.

    Raises
    ------
    RunnerError
        The runner ended without a result.
    """
    request = {"action": action, "environ": dict(environ), "watch": [os.getpid()], "attempt": attempt}
    own = {name: environ[name] for name in ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH") if name in environ}
    with start_runner(request, text=text, env=own) as process:
        if process.stdout is None or process.stderr is None:
            raise RunnerError("the runner has no pipes")
        for line in process.stdout:
            say(_message(line))
        report = process.stderr.read()  # one line: it fits into the pipe while the log is read
    return _result(report)


def _message(line: bytes) -> str:
    """Return a line of the log for a person."""
    text = line.decode("utf-8", "replace").rstrip("\n")
    if line.startswith(_RECORD):
        try:
            return str(json.loads(text[1:])["message"])
        except (ValueError, TypeError, KeyError):
            pass  # of the task's own, then
    return text


def _result(report: bytes) -> RunnerResult:
    try:
        members = json.loads(report)
        environment = members.get("environment")
        return RunnerResult(
            result=members["result"],
            reason=members["reason"],
            can_retry=members["can_retry"],
            environment=Path(environment) if environment else None,
            members=members,
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        last = (report.decode("utf-8", "replace").strip().splitlines() or ["it wrote no result"])[-1]
        raise RunnerError(f"the runner of the task failed: {last}") from error
