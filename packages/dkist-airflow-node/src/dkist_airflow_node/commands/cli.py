"""``dkist-airflow-node``: care for a worker's environments and for the failure messages of a host."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dkist_airflow_node.__about__ import __version__
from dkist_airflow_node.commands.command_help import epilogue
from dkist_airflow_node.commands.environments import environments_commands
from dkist_airflow_node.commands.messages import messages_commands
from dkist_airflow_node.commands.status import status_command
from dkist_airflow_node.errors import AirflowNodeError

if TYPE_CHECKING:
    from collections.abc import Sequence

PROGRAM = "dkist-airflow-node"

EPILOG = epilogue(
    "docs/how-to/environments.md",
    "docs/how-to/watch-a-site.md",
    settings=f"see '{PROGRAM} GROUP --help'",
)


@click.group(
    commands=[environments_commands, messages_commands, status_command],
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=EPILOG,
    subcommand_metavar="GROUP COMMAND [ARGS]...",
)
@click.version_option(__version__, message="%(prog)s %(version)s")
def cli() -> None:
    """Care for a worker's environments and for the failure messages of this host."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    arguments : Sequence[str] or None
        The arguments after the program's name; those of this process if not given.

    Returns
    -------
    int
        The exit status: 0 done, 1 faults found or refused, 2 wrong usage.
    """
    try:
        status = cli.main(arguments, prog_name=PROGRAM, standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        click.echo("aborted", err=True)
        return 1
    except (AirflowNodeError, OSError) as error:  # OSError: a file of another user, a full disk
        click.secho(f"error: {error}", err=True, fg="red")
        return 1
    return int(status or 0)
