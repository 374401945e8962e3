"""The commands of ``dkist-build`` for those who must know what they run."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dkist_airflow_node.commands import table
from dkist_build_utils.deployment import audit
from dkist_build_utils.errors import counted
from dkist_build_utils.release import verify

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dkist_build_utils.deployment import UnknownVersion

_FOLDER = click.Path(path_type=Path, file_okay=False)
_FILE = click.Path(path_type=Path, dir_okay=False)
REQUIRE_SIGNATURE = click.option(
    "--require-signature",
    type=_FILE,
    metavar="SIGNERS",
    help="Refuse a release that nobody in this file of allowed signers has signed. The site's DKIST_REQUIRED_SIGNERS "
    "applies as well.",
)
REVOKED_KEYS = click.option("--revoked-keys", type=_FILE, help="A file of revoked keys. [default: DKIST_REVOKED_KEYS]")


@click.command("verify")
@click.argument("path", metavar="ARCHIVE|FOLDER", type=click.Path(path_type=Path))
@REQUIRE_SIGNATURE
@REVOKED_KEYS
def verify_command(path: Path, *, require_signature: Path | None, revoked_keys: Path | None) -> None:
    """Check a release and say in words what was checked.

    Every file is compared with the manifest; locks, pools and tasks with each other; the signature with the manifest
    and with those who may sign. The folder of a deployed version will do as well as an archive.
    """
    for statement in verify(path, require_signature=require_signature, revoked_keys=revoked_keys).statements:
        click.echo(statement)


@click.command("audit")
@click.option("--dags-folder", type=_FOLDER, required=True, help="The folder from which Airflow reads DAG files.")
@click.option(
    "--vulnerabilities",
    type=_FOLDER,
    required=True,
    help="A folder with files in the format of OSV, for example the unpacked download of all for PyPI.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object instead of a table.")
def audit_command(*, dags_folder: Path, vulnerabilities: Path, as_json: bool) -> None:
    """Compare what is deployed with known vulnerabilities.

    No network is used. Exit status 0 means that every deployed version and every file could be checked, and that
    nothing was found.
    """
    found = audit(dags_folder, vulnerabilities)
    if as_json:
        click.echo(json.dumps(asdict(found), indent=1, default=str))
    elif found.findings:
        rows = (
            (each.vulnerability, each.distribution, each.version, each.fixed_in or "-", ", ".join(each.deployed))
            for each in found.findings
        )
        click.echo(table(("VULNERABILITY", "DISTRIBUTION", "VERSION", "FIXED IN", "DEPLOYED"), rows))
    for broken in found.broken:
        click.secho(f"{broken.path}: {broken.reason}", err=True, fg="red")
    say_unknown(found.unknown)
    click.echo(
        f"{counted(found.read, 'file')} checked, {len(found.broken)} not; {counted(len(found.findings), 'finding')}",
        err=True,
    )
    sys.exit(0 if found.is_clean else 1)


def say_unknown(versions: Iterable[UnknownVersion]) -> None:
    """Print the deployed versions whose content is unknown."""
    for version in versions:
        click.secho(f"{version.name}: what it holds is not known: {version.reason}", err=True, fg="yellow")
