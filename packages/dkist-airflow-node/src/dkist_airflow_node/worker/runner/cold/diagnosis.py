"""What ended a task that did not succeed."""

from __future__ import annotations

import os

from ..memory import number_in, size_text
from ..signals import signal, signal_name
from ..store import MARKER
from .disk import refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..environment import Environment
    from ..memory import KillCount


def diagnosis(status: int, said: str | None, members: dict[str, Any], count: KillCount) -> dict[str, Any]:
    """Return the members of the result that say what ended the task.

    Parameters
    ----------
    status
        The launcher's, as `wait` gives it.
    said
        The result in the launcher's outcome, if it wrote one.
    members
        What is known from the outcome, and of the memory used.
    count
        The kernel's kills for memory since the launcher was started.
    """
    number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    code = None if number else os.WEXITSTATUS(status)
    kills = count.new()
    is_out_of_memory = number == signal.SIGKILL and kills > 0
    result = "failure"
    if is_out_of_memory:
        peak, limit = members["peak_memory_bytes"] or 0, memory_limit(count.events)
        reason = f"killed by the kernel for memory: peak {size_text(peak)}, limit {size_text(limit)}"
    elif number:
        reason = f"the task's process was killed by {signal_name(number)}"
        if number == signal.SIGKILL:
            reason += ", not by this runner: by somebody, or by the kernel for memory (its log says so)"
    elif code == 2 and said == "error":  # the launcher's status for an unusable request
        result = "error"
        reason = members["reason"] or members["error"] or "the request was unusable"
    elif said in {"failure", "error"}:
        last = str(members["error_type"] or "error").rpartition(".")[2]
        reason = f"{last}: {members['error']}" if members["error"] else last
    elif said is None:
        reason = (
            f"the task's process ended with exit status {code} without saying how (os._exit or exit() in native code?)"
        )
    else:
        reason = f"the task's process ended with exit status {code}, and said {said!r}"
    if kills > 0 and not is_out_of_memory:
        reason += f" (meanwhile the kernel killed {kills} process(es) of this control group for memory)"
    return {
        "result": result,
        "reason": reason,
        "can_retry": result != "error",
        "exit_status": code,
        "signal": signal_name(number) if number else None,
        "is_out_of_memory": is_out_of_memory,
    }


def memory_limit(events: str) -> int:
    """Return the bytes that this process's control group may use, or the host has."""
    limits = [(number_in("/proc/meminfo", "MemTotal") or 0) * 1024]
    folder = os.path.dirname(events)
    if events.endswith("oom_control"):
        limits.append(number_in(f"{folder}/memory.stat", "hierarchical_memory_limit") or 0)
    while events.endswith("memory.events") and folder.startswith("/sys/fs/cgroup/"):
        limits.append(number_in(f"{folder}/memory.max") or 0)
        folder = os.path.dirname(folder)
    return min(filter(None, limits), default=0)


def refused_outcome(said: str | None, folder: str) -> str:
    """Return why the launcher could not say how the task ended, where the disk is full or the folder is gone."""
    reason = refusal(folder) if said is None else ""
    return f" ({reason})" if reason else ""


def damage(environment: Environment, error_type: str | None) -> str:
    """Return what an environment lacks in which an import failed, and have the next attempt build it again."""
    if not (error_type or "ImportError").endswith(("ImportError", "NotFoundError")):
        return ""
    try:
        missing = missing_file(f"{environment.path}/lib/python{environment.python}/site-packages")
        if missing:
            os.unlink(f"{environment.path}/{MARKER}")
    except OSError:
        return ""
    if not missing:
        return ""
    return f" (the environment {environment.path} has lost its file {missing}; the next attempt builds it again)"


def missing_file(library: str) -> str:
    """Return a file that was installed and is not there any more, or nothing."""
    for name in os.listdir(library):
        if name.endswith(".dist-info"):
            with open(f"{library}/{name}/RECORD", encoding="utf-8") as file:
                for line in file:
                    path = line.rsplit(",", 2)[0].strip('"').replace('""', '"')
                    if not path.endswith(".pyc") and not os.path.lexists(os.path.join(library, path)):
                        return path
    return ""
