"""The process of one attempt in the environment of its lock: the runner that workers use, with its pipes."""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from dkist_airflow_node.worker import RUNNER_START, handover
from dkist_build_utils.local_run.process import AttemptFiles, AttemptProcess

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dkist_build_utils.local_run.guard import Guard


class RunnerProcess(AttemptProcess):
    """A runner that runs one attempt.

    Parameters
    ----------
    guard : Guard
        What starts it.
    key : str
        What names it to the guard.
    files : AttemptFiles
        Where it leaves what is known of it.
    environ : mapping
        The whole environment that the runner narrows for the task, with the variables that a DAG sets.
    modules : mapping
        The text of each module of the runner, by its name.
    """

    def __init__(
        self, guard: Guard, key: str, files: AttemptFiles, environ: Mapping[str, str], modules: Mapping[str, str]
    ) -> None:
        self._modules = modules
        self._report = b""
        self._inlet: int | None = None
        super().__init__(guard, key, files, environ)

    def _start(self, variables: Mapping[str, str]) -> None:
        command = [sys.executable, "-I", "-S", "-c", RUNNER_START]
        commands, inlet = os.pipe2(os.O_CLOEXEC)
        log, log_inlet = self._new_pipe()
        report, report_inlet = self._new_pipe()
        self.readers = {log: lambda: self._read_log(log), report: lambda: self._read_report(report)}
        self._inlet = inlet
        try:
            self.guard.start(self.key, command, {}, (commands, log_inlet, report_inlet))
        finally:
            for descriptor in (commands, log_inlet, report_inlet):
                os.close(descriptor)
        self._send(handover(self._modules))
        attempt = str(self.files.log.with_suffix("")).rpartition("-")[0]  # the same for every try
        self._command({"action": "run", "environ": dict(variables), "watch": [os.getpid()], "attempt": attempt})

    def _send_stop(self, kind: str, text: str) -> None:
        self._command({"stop": kind, "text": text})

    def _command(self, message: dict[str, Any]) -> None:
        """Send a line to the runner."""
        self._send(json.dumps(message).encode() + b"\n")

    def _send(self, data: bytes) -> None:
        """Send bytes to the runner; if it is gone, its end says so."""
        with suppress(OSError):
            while data and self._inlet is not None:
                data = data[os.write(self._inlet, data) :]

    def _read_report(self, descriptor: int) -> bool:
        block = self._read(descriptor)
        self._report += block
        return bool(block)

    def outcome(self) -> dict[str, Any]:
        """Return what the runner reported; nothing where it failed itself, and then the log has its words."""
        try:
            report = json.loads(self._report)
        except ValueError:
            report = None
        return report if isinstance(report, dict) else {"result": "error"}

    def close(self) -> None:
        """Close the log and every pipe."""
        if self._inlet is not None:
            os.close(self._inlet)
            self._inlet = None
        super().close()
