"""``dkist-airflow-node``: care of a worker's environments and of the failure messages."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from dkist_airflow_node.__about__ import __version__
from dkist_airflow_node.commands.environments import add_environments_commands
from dkist_airflow_node.commands.messages import add_messages_commands
from dkist_airflow_node.errors import AirflowNodeError

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run a command and return its exit status: 0 done, 1 faults found or refused, 2 wrong usage.

    Parameters
    ----------
    arguments
        What stands after the program's name; that of this process if not given.
    """
    parser = argparse.ArgumentParser(
        prog="dkist-airflow-node", description="Care of a worker's environments and of the failure messages."
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    subparsers = parser.add_subparsers(required=True, metavar="GROUP")
    add_environments_commands(subparsers)
    add_messages_commands(subparsers)
    parsed = parser.parse_args(arguments)
    try:
        status: int = parsed.run(parsed)
    except (AirflowNodeError, OSError) as error:  # a file of another user, a full disk
        print(f"dkist-airflow-node: {error}", file=sys.stderr)  # noqa: T201  # the command's output
        return 1
    return status
