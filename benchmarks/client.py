"""Client packages of the predecessor from the index: as they are, and migrated, each in an environment of its own.

Both are made once and kept in the user's cache (`harness.cache`); the migrated one once for each state of our source.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

from harness.cache import cache_folder
from harness.client_packages import COMMON, PYTHON, TEST, VBI, ClientPackage, fetch
from harness.interpreter import find_interpreter
from harness.packages import OWN_PROJECTS, build_wheels


@dataclass(frozen=True)
class Client:
    """A client package on the index."""

    package: ClientPackage
    """The release."""
    extras: tuple[str, ...]
    """The extras that a developer's environment has; a GPU's libraries are left out."""

    @property
    def version(self) -> str:
        """Its version."""
        return self.package.version

    @property
    def workflows(self) -> str:
        """The dotted name of the package that holds its workflows."""
        return f"{self.package.import_name}.workflows"

    @property
    def requirement(self) -> str:
        """What to install."""
        return f"{self.package.name}[{','.join(self.extras)}]=={self.version}"

    @property
    def title(self) -> str:
        """Its name in tables and folders."""
        return f"{self.package.name.removeprefix('dkist-processing-')}-{self.version}"


_COMPLETE = ".complete"
CLIENTS = (Client(VBI, ("asdf", "inventory", "quality")), Client(TEST, ("asdf", "dask", "inventory", "quality")))


@dataclass(frozen=True)
class MigratedClient:
    """A client that was migrated and installed."""

    interpreter: Path
    """The interpreter of its environment, which has dkist-build-utils too, and no Airflow."""
    wheels: Path
    """The folder with its wheel, that of what it builds upon, and ours."""


def original_client(client: Client) -> Path:
    """Return the interpreter of an environment that holds a client as it is on the index, and Airflow with it.

    Raises
    ------
    InterpreterMissingError
        This machine has no Python that it runs on.
    subprocess.CalledProcessError
        It cannot be installed; perhaps the index is out of reach.
    """
    folder = cache_folder("client-builds") / f"original-{client.title}"
    if not (folder / _COMPLETE).exists():
        _make_environment(folder, client.requirement)
        (folder / _COMPLETE).touch()
    return folder / "bin" / "python"


def migrated_client(client: Client) -> MigratedClient:
    """Return a client after ``dkist-build migrate``, installed with the distributions of this clone.

    Raises
    ------
    InterpreterMissingError
        This machine has no Python that it runs on.
    IndexMissingError
        The index does not give it.
    subprocess.CalledProcessError
        It cannot be migrated, built or installed.
    """
    folders = cache_folder("client-builds")
    folder = folders / f"migrated-{client.title}-{_state_of_source()}"
    environment, wheels = folder / "environment", folder / "wheels"
    if not (folder / _COMPLETE).exists():
        for old in folders.glob(f"migrated-{client.title}-*"):
            shutil.rmtree(old)
        build_wheels(wheels)
        for package, version in ((COMMON, COMMON.migrated_version), (client.package, client.version)):
            project = _source_of(package, folder / "source")
            migrate = [sys.executable, "-m", "dkist_build_utils", "migrate", "--allow-dirty", str(project)]
            subprocess.run(migrate, check=True, stdout=subprocess.DEVNULL)
            _build_wheel(project, version, wheels)
        _make_environment(environment, client.requirement, "dkist-build-utils", "--find-links", str(wheels))
        (folder / _COMPLETE).touch()
    return MigratedClient(environment / "bin" / "python", wheels)


def _state_of_source() -> str:
    """Return a digest of our own distributions' source."""
    state = hashlib.sha256()
    for project in OWN_PROJECTS:
        for file in sorted([project / "pyproject.toml", *project.glob("src/**/*.*")]):
            if file.is_file() and file.suffix != ".pyc":
                state.update(f"{file.relative_to(project)}\0".encode() + file.read_bytes())
    return state.hexdigest()[:12]


def _source_of(package: ClientPackage, folder: Path) -> Path:
    """Unpack the source of a release into a folder and return that of the project."""
    with tarfile.open(fetch(package)) as archive:
        archive.extractall(folder, filter="data")
    return folder / f"{package.import_name}-{package.version}"


def _build_wheel(project: Path, version: str, wheels: Path) -> None:
    """Build the wheel of a project whose version would come from its history."""
    environ = {**_environ(), "SETUPTOOLS_SCM_PRETEND_VERSION": version}
    build = ["uv", "build", "--quiet", "--wheel", "--python", str(find_interpreter(PYTHON)), "--out-dir", str(wheels)]
    subprocess.run([*build, str(project)], env=environ, check=True)


def _make_environment(folder: Path, *requirements: str) -> None:
    make = ["uv", "venv", "--quiet", "--clear", "--python", str(find_interpreter(PYTHON)), str(folder)]
    install = ["uv", "pip", "install", "--quiet", "--compile-bytecode", "--python", str(folder / "bin" / "python")]
    subprocess.run(make, env=_environ(), check=True)
    subprocess.run([*install, *requirements], env=_environ(), check=True)


def _environ() -> dict[str, str]:
    """Return the environment variables without those of the environment that runs the benchmark."""
    return {key: value for key, value in os.environ.items() if key not in {"UV_CONSTRAINT", "VIRTUAL_ENV"}}
