"""The host of this process, and which share of it the process may use."""

from __future__ import annotations

import os
import sys
from typing import NamedTuple

ROOT = "/"
"""Where ``proc`` and ``sys`` lie."""


class Host(NamedTuple):
    """A host, and which share of it a process may use."""

    name: str
    """The host's own name."""

    system: str
    """Kernel, its release and the machine type."""

    processors: float
    """Processors the process may use: its affinity, cut by the CPU quota of its control groups."""

    memory: int
    """Bytes the process may use: the memory of the machine, cut by its control groups and its address-space limit."""


def this_host() -> Host:
    """Return the host of this process."""
    uname = os.uname()
    return Host(
        uname.nodename, f"{uname.sysname} {uname.release} {uname.machine}", usable_processors(), usable_memory()
    )


def usable_processors(root: str = ROOT) -> float:
    """Return how many processors' worth of time this process may use; `root` is where ``proc`` and ``sys`` lie."""
    quotas: list[float] = [len(os.sched_getaffinity(0))]
    for folder in _control_group_folders(root, "cpu"):
        version_2 = _numbers(f"{folder}/cpu.max")
        version_1 = _numbers(f"{folder}/cpu.cfs_quota_us") + _numbers(f"{folder}/cpu.cfs_period_us")
        # A quota and its period, in the same unit; -1 is no limit.
        quotas += [limit[0] / limit[1] for limit in (version_2, version_1) if len(limit) > 1 and min(limit) > 0]
    return min(quotas)


def usable_memory(root: str = ROOT) -> int:
    """Return how many bytes of memory this process may use; `root` is where ``proc`` and ``sys`` lie."""
    limits = [_physical_memory(root)]
    # Not by the module `resource`, which takes longer to import than all of this takes.
    lines = _text(f"{root}/proc/self/limits").splitlines()
    address_space = [line.split()[3] for line in lines if line.startswith("Max address space")]
    limits += [int(limit) for limit in address_space if limit.isdecimal()]
    for folder in _control_group_folders(root, "memory"):
        limits += _numbers(f"{folder}/memory.max") or _numbers(f"{folder}/memory.limit_in_bytes")
    return min(limits)


def _physical_memory(root: str) -> int:
    """Return the machine's memory in bytes."""
    for line in _text(f"{root}/proc/meminfo").splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    return sys.maxsize


def _control_group_folders(root: str, controller: str) -> list[str]:
    """Return the folders of this process's control group and of those it is nested in.

    Within a container the group's path is the host's and does not exist under ``/sys``: the nearest that does is used.
    """
    folders = []
    for line in _text(f"{root}/proc/self/cgroup").splitlines():
        _, controllers, group = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        # Version 2 has one tree, version 1 one for each controller.
        folder = f"{root}/sys/fs/cgroup" + (controllers and f"/{controller}")
        for name in ("", *group.split("/")):
            folder = f"{folder}/{name}" if name else folder
            folders.append(folder)
    return folders


def _numbers(path: str) -> tuple[int, ...]:
    """Return the numbers in a control-group file; none where it is missing or says there is no limit."""
    words = _text(path).split()
    return tuple(int(word) for word in words) if words and words[0].lstrip("-").isdecimal() else ()


def _text(path: str) -> str:
    """Return what a file holds, nothing where it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
