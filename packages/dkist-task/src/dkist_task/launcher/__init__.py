"""Run one task in a process of its own: the request, the log's opening, signals, the exit status."""

from __future__ import annotations

from dkist_task.launcher.launch import main

__all__ = [
    "main",
]
