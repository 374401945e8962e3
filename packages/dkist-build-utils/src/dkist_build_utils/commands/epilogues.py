"""How the help of each command of ``dkist-build`` ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dkist_airflow_node.commands import epilogue

if TYPE_CHECKING:
    import click

_README = "packages/dkist-build-utils/README.md"
_PAGES = {
    "new": ("docs/how-to/release-pipeline.md", "docs/how-to/test-an-instrument-package.md"),
    "validate": ("docs/how-to/release-pipeline.md",),
    "run": ("docs/how-to/run-locally.md",),
    "record": ("docs/how-to/record-a-run.md",),
    "export": ("docs/how-to/release-pipeline.md", "docs/how-to/trust-a-release.md"),
    "archive": ("docs/how-to/release-pipeline.md", "docs/how-to/trust-a-release.md"),
    "deploy": ("docs/how-to/release-pipeline.md", "docs/how-to/offline-workers.md"),
    "undeploy": ("docs/how-to/release-pipeline.md",),
    "list": ("docs/how-to/offline-workers.md", "docs/how-to/trust-a-release.md"),
    "diff": ("docs/reference/manifest.md",),
    "verify": ("docs/how-to/trust-a-release.md",),
    "audit": ("docs/how-to/trust-a-release.md",),
    "image": ("docs/how-to/notebooks-and-images.md",),
    "migrate": ("docs/how-to/migrate-from-dkist-processing-core.md",),
    "timeline": ("docs/how-to/telemetry.md",),
}
"""Where to read on, by command; the README for any other."""

_VERSION = {"BUILD_VERSION": "the version of the workflows, where nothing else gives one [default: dev]"}
_INDEX = {"UV_INDEX, UV_FIND_LINKS": "where packages come from, as uv reads them; also its other variables of indexes"}
_AIRFLOW = {
    "AIRFLOW_HOME": "the Airflow that is asked [default: ~/airflow]",
    "AIRFLOW__SECTION__KEY": "its settings, as Airflow reads them: AIRFLOW__CORE__DAGS_FOLDER, ...",
}
_WHEELHOUSE = {"DKIST_WHEELHOUSE": "where workers find wheels [default: .NAME.dkist-wheels beside the dags folder]"}
_SIGNERS = {
    "DKIST_REQUIRED_SIGNERS": "a file of those who may sign a release",
    "DKIST_REVOKED_KEYS": "a file of revoked keys",
}
_SETTINGS = {
    "new": {"UV_FIND_LINKS": "folders with wheels that are on no index yet"},
    "validate": _VERSION,
    "run": _VERSION | {"DKIST_ENVIRONMENT_STORE": "the environments of --locked; all else passes to the tasks"},
    "export": _VERSION
    | _INDEX
    | {"SOURCE_DATE_EPOCH": "the time of the release, in seconds since 1970 [default: none]"},
    "graph": _VERSION,
    "deploy": _AIRFLOW | _INDEX | _SIGNERS | _WHEELHOUSE,
    "undeploy": _AIRFLOW | _WHEELHOUSE,
    "list": _AIRFLOW | _WHEELHOUSE,
    "verify": _SIGNERS,
}
"""The environment variables that a command reads, by command; the others read none."""


def add_epilogues(group: click.Group) -> None:
    """Let the help of a group and of each of its commands end with exit statuses, settings and where to read on."""
    group.epilog = epilogue(_README, settings="see 'dkist-build COMMAND --help'")
    for name, command in group.commands.items():
        command.epilog = epilogue(*_PAGES.get(name, (_README,)), settings=_SETTINGS.get(name))
