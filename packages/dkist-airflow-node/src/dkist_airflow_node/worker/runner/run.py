"""One request, from its reading to its result."""

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
        from .result import members_of_outcome, text_or_none

        children = self.supervisor.children
        outcome = self.attempt.outcome() if self.attempt else {}
        members = members_of_outcome(outcome, children.usage)
        said = text_or_none(outcome.get("result"))
        if not children.status and said in {"success", "skip"}:
            return {**members, "result": said, "exit_status": 0}
        from .cold.diagnosis import damage, diagnosis, refused_outcome

        if self.environment is None or self.kills is None or self.attempt is None:
            raise AssertionError
        members.update(diagnosis(children.status or 0, said, members, self.kills))
        members["reason"] += refused_outcome(said, self.attempt.folder)
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
