"""The commands of ``dkist-build`` for those who must know what they run."""

from __future__ import annotations

from pathlib import Path

import click

from dkist_build_utils.release import verify

_FILE = click.Path(path_type=Path, dir_okay=False)
REQUIRE_SIGNATURE = click.option(
    "--require-signature",
    type=_FILE,
    metavar="SIGNERS",
    help="Refuse a release that nobody in this file of allowed signers has signed. The site's DKIST_REQUIRED_SIGNERS "
    "is asked in any case.",
)
REVOKED_KEYS = click.option(
    "--revoked-keys", type=_FILE, help="Keys that count no longer. [default: DKIST_REVOKED_KEYS]"
)


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
