"""The releases in the dags folder, from their manifests (``docs/reference/manifest.md``)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dkist_airflow_node.errors import SiteError

if TYPE_CHECKING:
    from collections.abc import Mapping

MANIFEST = "manifest.json"

MAXIMUM_BYTES = 16 * 1024 * 1024
"""A manifest of a hundred workflows takes less than 1 MB."""


@dataclass(frozen=True)
class Release:
    """One version of an instrument package in the dags folder."""

    folder: str
    """Name of its folder."""
    distribution: str | None
    """The instrument package; None where the manifest cannot be read."""
    version: str | None
    """Its version."""
    dag_ids: tuple[str, ...]
    """The DAGs of its workflows."""
    problem: str | None = None
    """Why the manifest cannot be read."""


def dags_folder(environment: Mapping[str, str]) -> Path:
    """Return the folder from which this host's Airflow reads DAG files, where the environment says it.

    Parameters
    ----------
    environment : Mapping[str, str]
        Environment variables.

    Returns
    -------
    Path
        ``AIRFLOW__CORE__DAGS_FOLDER``, or Airflow's own default, ``${AIRFLOW_HOME:-~/airflow}/dags``.
    """
    if named := environment.get("AIRFLOW__CORE__DAGS_FOLDER"):
        return Path(named)
    home = environment.get("AIRFLOW_HOME")
    return (Path(home) if home else Path(environment.get("HOME", "/")) / "airflow") / "dags"


def releases(dags: Path) -> list[Release]:
    """Return the releases in a dags folder, by the names of their folders.

    Parameters
    ----------
    dags : Path
        The dags folder.

    Returns
    -------
    list[Release]
        Also those whose manifest cannot be read.

    Raises
    ------
    SiteError
        The folder cannot be read.
    """
    try:
        folders = sorted(path for path in dags.iterdir() if path.is_dir() and (path / MANIFEST).exists())
    except OSError as error:
        raise SiteError(
            f"the dags folder {dags} cannot be read: {error.strerror}; name it with --dags-folder"
        ) from error
    return [_release(folder) for folder in folders]


def _release(folder: Path) -> Release:
    try:
        path = folder / MANIFEST
        if not path.is_file():
            raise ValueError("it is not a file")
        with path.open("rb") as file:
            content = file.read(MAXIMUM_BYTES + 1)
        if len(content) > MAXIMUM_BYTES:
            raise ValueError(f"longer than {MAXIMUM_BYTES} bytes")
        manifest: Any = json.loads(content)
        return Release(
            folder=folder.name,
            distribution=str(manifest["distribution"]),
            version=str(manifest["version"]),
            dag_ids=tuple(str(row["dag_id"]) for row in manifest["workflows"]),
        )
    except (OSError, ValueError, TypeError, LookupError, RecursionError) as error:
        problem = f"{MANIFEST} cannot be read: {error}"
        return Release(folder=folder.name, distribution=None, version=None, dag_ids=(), problem=problem)
