"""Start the processes of tasks and leave none behind: a program of its own, standard library only, Linux.

``python -I -S guardian.py LOCK_FILE COMMAND_PID``

Standard input is a socket (``SOCK_SEQPACKET``) to the command that runs a workflow; each message is a JSON object.
Every process of a task is a descendant of this program, which is a subreaper: one that detaches itself is found too.

From the command:

- ``{"start": key, "command": [...], "environ": {...}}`` with three descriptors (input, output, error): start a process
  in a session of its own, with these variables besides those of this program;
- ``{"stop": key}``: SIGTERM to the process and all that it started, also when it has ended itself; SIGKILL to what is
  left after `GRACE_SECONDS`;
- ``{"kill": true}``: SIGKILL to everything at once.

To the command:

- ``{"ready": true}`` when the lock is held: an earlier guardian that still ends its tasks is waited for;
- ``{"ended": key, "status": wait status, "peak_memory_bytes": n, "cpu_seconds": s}``;
- ``{"failed": key, "reason": text}`` where no process could be started.

When the command closes the socket or dies, in whatever way, every process is stopped as above; the program ends when
none is left, and gives the lock back. If this program itself is killed, the kernel kills what it started.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import select
import signal
import socket
import sys
import time

GRACE_SECONDS = 10.0
"""From SIGTERM to SIGKILL, as on a worker."""
KILL_SECONDS = 0.2
"""From one SIGKILL to the next, for processes that were started meanwhile."""
LOOK_SECONDS = 0.1
"""How often a lock that an earlier guardian holds is tried."""
MESSAGE_BYTES = 1 << 20
MARKER = "DKIST_OUTCOME_FILE"
"""The variable whose value is the attempt's own: by it a process that left its session is known."""

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
LIBC = ctypes.CDLL(None)


class Child:
    """A process that the command asked for, and all that it started."""

    def __init__(self, key: str, marker: str) -> None:
        self.key = key
        self.mark = f"{MARKER}={marker}".encode() if marker else b""
        self.pid = 0
        self.has_ended = False
        self.kill_time: float | None = None
        """When to send SIGKILL, None where nobody asked for the end."""

    def owns(self, pid: int, above: list[int]) -> bool:
        """Return whether a process is this one or was started by it, in whatever session."""
        if pid == self.pid:
            return not self.has_ended
        return self.pid in above or session_of(pid) == self.pid or has_mark(pid, self.mark)


class Guardian:
    """Wait for messages, for the ends of processes and for the end of the command."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.children: dict[str, Child] = {}
        self.is_ending = False
        self.kill_all_time: float | None = None
        wakeup, inlet = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(inlet, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, lambda *_: None)  # its byte in the pipe says all
        self.wakeup = wakeup
        self.poll = select.poll()
        self.poll.register(wakeup, select.POLLIN)
        self.poll.register(connection, select.POLLIN)

    def watch(self, pid: int) -> None:
        """End when the command is gone, even if a process of its own keeps the socket open."""
        try:
            self.poll.register(os.pidfd_open(pid), select.POLLIN)
        except ProcessLookupError:
            self.end()
        except OSError:
            return  # a kernel without pidfds: the socket has to do

    def hold(self, lock_file: str) -> None:
        """Hold the lock, once an earlier guardian has given it back."""
        descriptor = os.open(lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        while not self.is_ending:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self.serve(LOOK_SECONDS)
            else:
                self.say(ready=True)
                return

    def run(self) -> None:
        """Serve until the end of the command and of every process."""
        while not (self.is_ending and not self.has_children()):
            self.serve(self.seconds_to_next_kill())

    def serve(self, seconds: float | None) -> None:
        """Serve what happens within some seconds."""
        for descriptor, _ in self.poll.poll(None if seconds is None else max(0.0, seconds) * 1000 + 1):
            if descriptor == self.wakeup:
                if set(os.read(self.wakeup, 4096)) - {signal.SIGCHLD}:
                    self.end()
                self.reap()
            elif descriptor == self.connection.fileno():
                self.receive()
            else:
                self.poll.unregister(descriptor)
                self.end()
        self.kill_due()

    def receive(self) -> None:
        """Do what the command asks for."""
        try:
            content, descriptors, _, _ = socket.recv_fds(self.connection, MESSAGE_BYTES, 3)
        except OSError:
            content, descriptors = b"", []
        if not content:
            self.poll.unregister(self.connection)
            self.end()
            return
        message = json.loads(content)
        if "start" in message:
            self.start(message["start"], message["command"], message["environ"], descriptors)
        elif "stop" in message:
            self.stop(self.children.get(message["stop"]))
        else:
            self.kill_all_time = 0.0
        for descriptor in descriptors:
            os.close(descriptor)

    def start(self, key: str, command: list[str], environ: dict[str, str], descriptors: list[int]) -> None:
        """Start a process."""
        child = Child(key, environ.get(MARKER, ""))
        try:
            child.pid = spawn(command, {**os.environ, **environ}, descriptors)
        except OSError as error:  # no memory, too many processes
            self.say(failed=key, reason=f"no process can be started: {error.strerror}")
        else:
            self.children[key] = child

    def stop(self, child: Child | None) -> None:
        """Ask a process, and all that it started, to end."""
        if child is None or child.kill_time is not None:
            return
        child.kill_time = time.monotonic() + GRACE_SECONDS
        send(self.processes_of(child), signal.SIGTERM)
        self.forget(child)

    def end(self) -> None:
        """Ask everything to end."""
        if not self.is_ending:
            self.is_ending = True
            self.kill_all_time = self.kill_all_time or time.monotonic() + GRACE_SECONDS
            send(descendants(), signal.SIGTERM)

    def kill_due(self) -> None:
        """Send SIGKILL where the grace is over, again and again until none is left."""
        now = time.monotonic()
        if self.kill_all_time is not None and self.kill_all_time <= now:
            send(descendants(), signal.SIGKILL)
            self.kill_all_time = now + KILL_SECONDS if self.has_children() else None
        for child in list(self.children.values()):
            if child.kill_time is not None and child.kill_time <= now:
                send(self.processes_of(child), signal.SIGKILL)
                child.kill_time = now + KILL_SECONDS
                self.forget(child)

    def seconds_to_next_kill(self) -> float | None:
        """Return how long nothing is to be done, None for ever."""
        times = [child.kill_time for child in self.children.values()] + [self.kill_all_time]
        return min((moment - time.monotonic() for moment in times if moment is not None), default=None)

    def reap(self) -> None:
        """Collect the processes that ended, and report those that the command asked for."""
        by_pid = {child.pid: child for child in self.children.values() if not child.has_ended}
        while self.has_children():
            pid, status, usage = os.wait4(-1, os.WNOHANG)
            if not pid:
                break
            child = by_pid.get(pid)
            if child is not None:
                child.has_ended = True
                self.say(
                    ended=child.key,
                    status=status,
                    peak_memory_bytes=usage.ru_maxrss * 1024,
                    cpu_seconds=usage.ru_utime + usage.ru_stime,
                )
                self.forget(child)
        for child in list(self.children.values()):
            self.forget(child)

    def forget(self, child: Child) -> None:
        """Drop a process that has ended and, where it was to be stopped, left nothing."""
        if child.has_ended and child.kill_time is not None and not self.processes_of(child):
            self.children.pop(child.key, None)

    def has_children(self) -> bool:
        """Return whether any process is left: the orphans of all below are children of a subreaper."""
        try:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return False
        return True

    def processes_of(self, child: Child) -> list[int]:
        """Return what belongs to a child: what is below it, in its session, or has its mark."""
        parents = parents_by_pid()
        return [pid for pid in below(os.getpid(), parents) if child.owns(pid, lineage(pid, parents))]

    def say(self, **message: object) -> None:
        """Report to the command; if it is gone, that is noticed elsewhere."""
        try:
            self.connection.send(json.dumps(message).encode())
        except OSError:
            return


def spawn(command: list[str], environ: dict[str, str], descriptors: list[int]) -> int:
    """Start a program in a session of its own that dies with this process; return its process id."""
    everything = signal.valid_signals()
    parent = os.getpid()
    signal.pthread_sigmask(signal.SIG_BLOCK, everything)  # until the child has no handler of ours any more
    pid = os.fork()
    if pid:
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        return pid
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        os.setsid()
        LIBC.prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)
        for target, descriptor in enumerate(descriptors):
            os.dup2(descriptor, target)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.execvpe(command[0], command, environ)
    except BaseException as error:
        os.write(2, f"{command[0]}: {error}\n".encode())
    finally:
        os._exit(127)


def parents_by_pid() -> dict[int, int]:
    """Return the parent of every process of this machine that can be seen."""
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdecimal():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    parents[int(name)] = int(file.read().rpartition(b")")[2].split()[1])
            except (OSError, IndexError):  # ended meanwhile
                continue
    return parents


def lineage(pid: int, parents: dict[int, int]) -> list[int]:
    """Return the processes above one, the nearest first."""
    found: list[int] = []
    while pid in parents and parents[pid] not in found:
        pid = parents[pid]
        found.append(pid)
    return found


def below(ancestor: int, parents: dict[int, int]) -> list[int]:
    """Return the processes below one."""
    return [pid for pid in parents if ancestor in lineage(pid, parents)]


def descendants() -> list[int]:
    """Return every process below this one."""
    return below(os.getpid(), parents_by_pid())


def session_of(pid: int) -> int:
    """Return the session of a process, 0 where it has ended."""
    try:
        return os.getsid(pid)
    except OSError:
        return 0


def has_mark(pid: int, mark: bytes) -> bool:
    """Return whether a process was started with a variable."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return bool(mark) and mark in file.read().split(b"\0")
    except OSError:
        return False


def send(pids: list[int], number: int) -> None:
    """Send a signal to those that are still there."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except OSError:
            continue


def main() -> None:
    """Serve the command at the other end of standard input."""
    lock_file, command_pid = sys.argv[1:]
    LIBC.prctl(PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(1), 0, 0, 0)
    # Not descriptor 0: that of a child is set from what the command sends.
    connection = socket.socket(fileno=fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, 3))
    guardian = Guardian(connection)
    guardian.watch(int(command_pid))
    guardian.hold(lock_file)
    guardian.run()


if __name__ == "__main__":
    main()
