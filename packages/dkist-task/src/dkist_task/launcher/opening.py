"""The block that opens a launched task's log."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from dkist_task.telemetry import is_json, json_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dkist_task.launcher.host import Host
    from dkist_task.launcher.request import Request


def opening_block(request: Request, environment: Mapping[str, str], distribution: str | None, host: Host) -> str:
    """Return the first lines of a task's log, or one JSON object: the task, its run, the host and its limits."""
    identity = request.identity
    named = "" if identity.task_name == request.class_name else f" as {identity.task_name}"
    tried = "" if identity.try_number is None else f", try {identity.try_number}"
    facts = {
        "task": f"{request.action} {request.module_name}:{request.class_name}{named}",
        "workflow": f"{identity.workflow_name} {identity.workflow_version}, recipe run {identity.recipe_run_id}{tried}",
        "distribution": distribution or f"unknown: no installed distribution holds {request.module_name}",
        "host": f"{host.name} ({host.system})",
        "environment": sys.prefix,
        "python": f"{'.'.join(map(str, sys.version_info[:3]))} ({sys.executable})",
        "processors": f"{host.processors:g}",
        "memory": f"{host.memory / 2**30:.1f} GiB",
        "process": str(os.getpid()),
    }
    if is_json(environment):
        return json_line(facts)
    # A value with a newline would look like another fact.
    return "\n".join(f"{name + ':':14}{' '.join(value.splitlines())}" for name, value in facts.items())
