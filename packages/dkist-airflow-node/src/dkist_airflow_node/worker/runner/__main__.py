"""The two processes of a runner: one works, the other waits for it."""

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
