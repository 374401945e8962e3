"""Running the runner from Python, without Airflow."""

from __future__ import annotations

import json
import marshal
import os
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dkist_airflow_node.errors import RunnerError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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
"""Starts the runner from its modules, which come before the request: a length in four bytes, then a marshalled dict.

Its values are code, or text where only few runs need a module. A process that compiled all text itself would take 5 MB
more for as long as its task runs, and begin 10 ms later: here it is compiled while the interpreter starts.
"""

_RECORD = b"\x1e"


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


def runner_modules() -> dict[str, str]:
    """Return the program that is in every exported DAG file: the text of each module, by its name."""
    folder = files("dkist_airflow_node.worker").joinpath("runner")
    places = {"runner": folder, "runner.cold": folder.joinpath("cold")}
    found = {}
    for package, place in places.items():
        for file in place.iterdir():
            if file.name.endswith(".py"):
                name = f"{package}.{file.name.removesuffix('.py')}".removesuffix(".__init__")
                found[name] = file.read_text(encoding="utf-8")
    return dict(sorted(found.items()))


def handover(modules: Mapping[str, str]) -> bytes:
    """Return what `START` reads."""
    parts = {
        name: text if name.startswith("runner.cold") else compile(text, f"<{name}>", "exec", optimize=2)
        for name, text in modules.items()
    }
    data = marshal.dumps(parts)
    return len(data).to_bytes(4, "big") + data


def start_runner(
    request: Mapping[str, Any],
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    modules: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start the runner, with pipes for all three streams.

    Parameters
    ----------
    request
        What it is asked for; see the docstring of ``runner``.
    env
        The runner's own environment, which every process of this user can read: no place for a secret.
    cwd
        The working folder of the task; that of this process without it.
    modules
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
    data = handover(modules or runner_modules())
    if process.stdin is None:
        raise RunnerError("the runner has no pipes")
    with suppress(BrokenPipeError):  # it ended: its standard error says why
        process.stdin.write(data + json.dumps(request).encode() + b"\n")
        process.stdin.flush()
    return process


def run_runner(
    action: Literal["run", "rollback", "build"],
    environ: Mapping[str, str],
    say: Callable[[str], None],
    *,
    attempt: str | None = None,
    modules: Mapping[str, str] | None = None,
) -> RunnerResult:
    """Run or roll back a task, or build its environment. It ends when this process does.

    Parameters
    ----------
    action
        What to do.
    environ
        The environment of this process and the variables that a DAG sets; see the docstring of ``runner``.
    say
        Takes each line of the log.
    attempt
        Only one attempt of this key runs on this host at a time.
    modules
        The runner, such as that of a DAG file; this version's without it.

    Raises
    ------
    RunnerError
        The runner ended without a result.
    """
    request = {"action": action, "environ": dict(environ), "watch": [os.getpid()], "attempt": attempt}
    own = {name: environ[name] for name in ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH") if name in environ}
    with start_runner(request, modules=modules, env=own) as process:
        if process.stdout is None or process.stderr is None:
            raise RunnerError("the runner has no pipes")
        report: list[bytes] = []
        reader = threading.Thread(
            target=lambda stream: report.append(stream.read()), args=(process.stderr,), daemon=True
        )
        reader.start()  # a pipe may hold less than the result
        for line in process.stdout:
            say(_message(line))
        reader.join()
    return _result(b"".join(report))


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
