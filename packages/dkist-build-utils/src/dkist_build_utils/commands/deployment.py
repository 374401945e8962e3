"""The commands of ``dkist-build`` for those who run Airflow."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dkist_airflow_node.commands import size_text, table
from dkist_build_utils.commands.trust import REQUIRE_SIGNATURE, REVOKED_KEYS, say_unknown
from dkist_build_utils.deployment import (
    DeployedVersion,
    Holdings,
    deploy,
    deployed_versions,
    holdings,
    pools_missing_in_airflow,
    undeploy,
)
from dkist_build_utils.errors import counted
from dkist_build_utils.release import differences, find_release

if TYPE_CHECKING:
    from collections.abc import Sequence

_FOLDER = click.Path(path_type=Path, file_okay=False)
_DAGS_FOLDER_HELP = "The folder from which Airflow reads DAG files."
_WHEELHOUSE = click.option(
    "--wheelhouse",
    type=_FOLDER,
    help="Where workers find wheels. [default: DKIST_WHEELHOUSE, then .NAME.dkist-wheels beside the dags folder]",
)
_DAGS_FOLDER = click.option("--dags-folder", type=_FOLDER, required=True, help=_DAGS_FOLDER_HELP)


@click.command("deploy")
@click.argument("archive", type=click.Path(path_type=Path, dir_okay=False))
@_DAGS_FOLDER
@click.option(
    "--airflow/--no-airflow",
    default=None,
    help="Whether to ask the Airflow that this environment names if it reads the dags folder, and to create missing "
    "pools in it. [default: if it is installed]",
)
@REQUIRE_SIGNATURE
@REVOKED_KEYS
@_WHEELHOUSE
def deploy_command(archive: Path, *, dags_folder: Path, **options: Any) -> None:
    """Bring the version in ARCHIVE into the dags folder.

    The version appears as a whole in one step, or not at all. Before, the archive is checked against its manifest, and
    everything that the locks name is fetched from the index, unless its wheels are in it: these come into the
    wheelhouse, from which workers build without an index. A version that is there with the same bytes stays as it
    is; one with other bytes is refused. Pools that exist are never changed.

    A task in a pool that Airflow does not have stays 'scheduled' for ever. So a version that needs pools is refused if
    the Airflow that is asked was never set up, or reads another dags folder.
    """
    done = deploy(archive, dags_folder, **options)
    click.echo(done.path)
    if not done.is_new:
        click.echo("unchanged: the same bytes were deployed already", err=True)
    for pool in done.pools_created:
        click.secho(
            f"created pool {pool} with 1 slot in {done.airflow}; raise it to what the workers can carry",
            err=True,
            fg="yellow",
        )
    if done.pools_needed:
        click.secho(
            f"Airflow was not asked. It must have the pools {', '.join(done.pools_needed)}, or tasks stay 'scheduled' "
            "for ever: 'airflow pools list' shows those that it has, 'airflow pools set NAME SLOTS DESCRIPTION' "
            "creates one",
            err=True,
            fg="yellow",
        )


@click.command("undeploy")
@click.argument("name")
@_DAGS_FOLDER
@click.option("--force", is_flag=True, help="Do not ask Airflow whether runs are active.")
@click.option(
    "--airflow/--no-airflow",
    default=None,
    help="Whether there is an Airflow on this machine to ask. [default: if it is installed]",
)
@_WHEELHOUSE
def undeploy_command(
    name: str, *, dags_folder: Path, force: bool, airflow: bool | None, wheelhouse: Path | None
) -> None:
    """Remove the version NAME from the dags folder, and the wheels that no other version needs.

    NAME is <distribution>_<version>, as 'list' shows it. Refused while one of its runs is queued or running, and if
    there is no Airflow to ask.
    """
    click.echo(undeploy(name, dags_folder, force=force, airflow=airflow, wheelhouse=wheelhouse))


@click.command("list")
@_DAGS_FOLDER
@_WHEELHOUSE
@click.option("--holds", metavar="REQUIREMENT", help="Show only versions whose locks hold this, for example 'numpy<2'.")
@click.option("--airflow", is_flag=True, help="Ask Airflow for the pools too; exit status 1 if it lacks one.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object instead of a table.")
def list_command(
    *, dags_folder: Path, wheelhouse: Path | None, holds: str | None, airflow: bool, as_json: bool
) -> None:
    """Show the versions in the dags folder, with age and size.

    Every file of every version is compared with its manifest. NETWORK says whether workers need an index to build the
    environments of a version, or have all its wheels. With --holds only the locks are read, so that the answer comes at
    once; a version without locks is named, since nobody knows what it holds.
    """
    if holds is not None and airflow:
        raise click.UsageError("--holds and --airflow exclude each other")
    if holds is not None:
        _say_holdings(holdings(dags_folder, holds), as_json=as_json)
        return
    versions = deployed_versions(dags_folder, wheelhouse=wheelhouse)
    missing = _missing_pools(dags_folder, versions) if airflow else ()
    if as_json:
        answer: dict[str, Any] = {"versions": [asdict(version) for version in versions]}
        click.echo(json.dumps(answer | ({"missing_pools": missing} if airflow else {}), indent=1))
    else:
        _show_versions(versions)
    sys.exit(1 if missing else 0)


def _missing_pools(dags_folder: Path, versions: Sequence[DeployedVersion]) -> tuple[str, ...]:
    """Return the pools that Airflow lacks, and print which versions wait for them."""
    site, missing = pools_missing_in_airflow(dags_folder, (pool for version in versions for pool in version.pools))
    click.echo(f"asked {site}", err=True)
    for version in versions:
        for pool in sorted(set(version.pools).intersection(missing)):
            click.secho(
                f"{version.name}: Airflow has no pool {pool}, so tasks in it stay 'scheduled'; create it with "
                f"'airflow pools set {pool} SLOTS DESCRIPTION'",
                err=True,
                fg="red",
            )
    return missing


def _show_versions(versions: Sequence[DeployedVersion]) -> None:
    """Print a table of versions, and how they are damaged."""
    rows = (
        (
            version.name,
            str(len(version.dag_ids)),
            _age(time.time() - version.deployed_at),
            size_text(version.size_bytes),
            "needed" if version.needs_network else "-",
            "ok" if version.damage is None else "damaged",
        )
        for version in versions
    )
    click.echo(table(("VERSION", "DAGS", "AGE", "SIZE", "NETWORK", "STATE"), rows))
    for version in versions:
        if version.damage is not None:
            click.secho(f"{version.name}: {version.damage}", err=True, fg="red")


def _say_holdings(answer: Holdings, *, as_json: bool) -> None:
    """Print which versions hold what was asked for."""
    if as_json:
        click.echo(json.dumps(asdict(answer), indent=1))
        return
    rows = ((each.name, each.lock, f"{each.distribution} {each.version}") for each in answer.found)
    click.echo(table(("VERSION", "LOCK", "HOLDS"), rows))
    say_unknown(answer.unknown)


@click.command("diff")
@click.argument("old")
@click.argument("new")
@click.option("--dags-folder", type=_FOLDER, help=f"{_DAGS_FOLDER_HELP} OLD and NEW may be names of versions there.")
def diff_command(old: str, new: str, *, dags_folder: Path | None) -> None:
    """Show what changed from OLD to NEW.

    Tasks, edges, queues, settings and locked packages are compared. OLD and NEW are each a release folder, an
    archive, or the name of a deployed version.
    """
    changes = differences(find_release(old, dags_folder), find_release(new, dags_folder))
    for change in changes:
        colour = "green" if change.old is None else "red" if change.new is None else "yellow"
        click.secho(str(change), fg=colour)
    click.echo(counted(len(changes), "change"), err=True)


def _age(seconds: float) -> str:
    """Return a time span in the largest unit that it has two or more of."""
    for length, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
