"""What the kernel says of the memory of this control group."""

from __future__ import annotations

import os


def memory_events() -> str:
    """Return the file in which the control group of this process counts out-of-memory kills, or nothing."""
    try:
        with open("/proc/self/cgroup", encoding="utf-8") as file:
            groups = [line.rstrip("\n").split(":", 2) for line in file]
    except OSError:
        return ""
    for _, controllers, path in groups:
        root, name = "/sys/fs/cgroup", "memory.events"
        if "memory" in controllers.split(","):  # version 1
            root, name = "/sys/fs/cgroup/memory", "memory.oom_control"
        for candidate in (f"{root}{path.rstrip('/')}/{name}", f"{root}/{name}"):  # in a container, the root is its own
            if (not controllers or name == "memory.oom_control") and os.path.exists(candidate):
                return candidate
    return ""


def number_in(path: str, name: str = "") -> int | None:
    """Return the number after a name in a file of the kernel's, or the file's only one."""
    try:
        with open(path, encoding="ascii") as file:
            for line in file:
                fields = line.split()
                if not name or fields[0].rstrip(":") == name:
                    return int(fields[1 if name else 0])
    except (OSError, ValueError, IndexError):  # "max" is no number
        pass
    return None


def size_text(size: int) -> str:
    """Return bytes for a person."""
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"


class KillCount:
    """How many processes of this control group the kernel killed for memory since this was made."""

    def __init__(self) -> None:
        self.events = memory_events()
        self.before = number_in(self.events, "oom_kill")

    def new(self) -> int:
        """Return the number; 0 where the kernel does not count."""
        now = number_in(self.events, "oom_kill")
        return now - self.before if now is not None and self.before is not None else 0
