"""What a process may use, read from trees like those that kernels and containers show."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dkist_task.launcher.host import usable_memory, usable_processors

GIB = 2**30


def tree(root: Path, files: dict[str, str]) -> str:
    """Write `files` below `root` with a machine of 64 GiB and return it."""
    for name, text in {"proc/meminfo": f"MemTotal: {64 * 2**20} kB\n", **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return str(root)


VERSION_2 = "sys/fs/cgroup"


@pytest.mark.parametrize(
    ("files", "memory", "share"),
    [
        ({}, 64 * GIB, None),
        ({"proc/self/cgroup": "0::/a/b\n", f"{VERSION_2}/a/memory.max": f"{8 * GIB}\n"}, 8 * GIB, None),
        (
            {
                "proc/self/cgroup": "0::/a/b\n",
                f"{VERSION_2}/a/b/memory.max": "max\n",
                f"{VERSION_2}/a/b/cpu.max": "max 100000\n",
                f"{VERSION_2}/a/cpu.max": "50000 100000\n",
            },
            64 * GIB,
            0.5,
        ),
        # Within a container the host's path does not exist, and the root of the mount is the container's own group.
        ({"proc/self/cgroup": "0::/../../host/x\n", f"{VERSION_2}/memory.max": f"{2 * GIB}\n"}, 2 * GIB, None),
        (
            {
                "proc/self/cgroup": "4:memory:/job\n3:cpu,cpuacct:/job\n1:name=systemd:/\n",
                "sys/fs/cgroup/memory/job/memory.limit_in_bytes": f"{4 * GIB}\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
                "sys/fs/cgroup/cpu/job/cpu.cfs_quota_us": "25000\n",
                "sys/fs/cgroup/cpu/job/cpu.cfs_period_us": "100000\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            4 * GIB,
            0.25,
        ),
    ],
)
def test_the_tightest_control_group_counts(
    tmp_path: Path, files: dict[str, str], memory: int, share: float | None
) -> None:
    """Limits of the process's group and of every group around it are taken, in both versions of control groups."""
    root = tree(tmp_path, files)
    assert usable_memory(root) == memory
    assert usable_processors(root) == (share or len(os.sched_getaffinity(0)))


def test_affinity_and_address_space_of_a_real_process_count() -> None:
    """A process bound to one processor and a gibibyte says so."""
    code = """
import os, resource
from dkist_task.launcher.host import usable_memory, usable_processors
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))
print(usable_processors() <= 1, usable_memory() <= 2**30)
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["True", "True"]
