"""A Containerfile for each lock of a release: an image with the environment of its tasks, and no Airflow."""

from __future__ import annotations

import json
from importlib.metadata import version as version_of
from pathlib import Path
from typing import TYPE_CHECKING

from dkist_build_utils.errors import BuildError
from dkist_build_utils.release.content import Release, release_from_folder
from dkist_build_utils.release.folder import replace_file
from dkist_build_utils.release.wheel_folder import WHEELS_FOLDER

if TYPE_CHECKING:
    import os

ENVIRONMENT = "/opt/dkist"
"""Where an image has the environment."""
CONTEXT = "/release"
"""Where the stage that builds it has lock and wheels."""


def write_containerfiles(folder: str | os.PathLike[str]) -> tuple[Path, ...]:
    """Write a Containerfile for each lock of a release folder beside the folder, and return the paths.

    The folder is the context of the build. Where it has wheels, the build needs no index.

    Parameters
    ----------
    folder : path
        The release folder.

    Raises
    ------
    BuildError
        The folder is not a release folder, is not as its manifest says, or has no locks.
    """
    source = Path(folder).absolute()
    release = release_from_folder(source)
    if not release.manifest.locks:
        raise BuildError(f"{source} has no locks, so no image could hold what was released; export it with locks")
    paths = []
    for lock in sorted(release.manifest.locks):
        extras = "+".join(release.manifest.locks[lock])
        paths.append(source.with_name(".".join([source.name, *filter(None, [extras]), "Containerfile"])))
        replace_file(paths[-1], render_containerfile(release, lock, paths[-1].name))
    return tuple(paths)


def render_containerfile(release: Release, lock: str, name: str) -> bytes:
    """Return the Containerfile of a lock: the same bytes for the same release and version of uv.

    Parameters
    ----------
    release : Release
        The release.
    lock : str
        The file name of the lock.
    name : str
        The file name of the Containerfile.
    """
    identity = release.manifest.release
    python = f"python:{identity.python}-slim"
    copied, wheels = "", ""
    if release.wheels:
        copied = f"COPY {WHEELS_FOLDER} {CONTEXT}/{WHEELS_FOLDER}\n"
        wheels = f" --offline --no-index --find-links {CONTEXT}/{WHEELS_FOLDER}"
    entry_point = json.dumps([f"{ENVIRONMENT}/bin/python", "-P", "-m", "dkist_task"])
    return f"""\
# The environment of {lock} of {identity.folder_name}: made by dkist-build image.
# Build it, and run a task, with
#   podman build --tag {identity.folder_name.lower()} --file {name} {identity.folder_name}
#   podman run --rm {identity.folder_name.lower()} run MODULE:CLASS --recipe-run-id 1 \
--workflow-name NAME --workflow-version {identity.version}
FROM {python} AS build
COPY --from=astral/uv:{version_of("uv")} /uv /usr/local/bin/uv
COPY {lock} {CONTEXT}/{lock}
{copied}\
RUN uv venv --no-python-downloads --python {identity.python} {ENVIRONMENT}
RUN uv pip sync --python {ENVIRONMENT}/bin/python --require-hashes --only-binary :all: --link-mode copy \
--compile-bytecode{wheels} {CONTEXT}/{lock}

FROM {python}
COPY --from=build {ENVIRONMENT} {ENVIRONMENT}
ENV VIRTUAL_ENV={ENVIRONMENT} PATH={ENVIRONMENT}/bin:$PATH
ENTRYPOINT {entry_point}
""".encode()
