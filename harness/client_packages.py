"""Client packages of dkist-processing-core, as they are on the index, migrated to this project.

Nothing of them is in the repository: each run fetches the pinned releases and rewrites its own copies.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.cache import cache_folder
from harness.celery_site import run
from harness.interpreter import find_interpreter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

PYTHON = "3.13"
"""The Python that the releases below require."""

LEAKING = ("COVERAGE_", "HATCH_", "PYTEST_", "PYTHON", "UV_CONSTRAINT", "VIRTUAL_ENV")

LEFT_OUT_REQUIREMENTS = {"cupy-cuda12x": "CUDA, 3.6 GB, for a GPU that this machine has not"}
"""What is not installed with the tests, and why."""


@dataclass(frozen=True)
class ClientPackage:
    """One release on the index, and what is left out of it here."""

    name: str
    """Name of the distribution."""
    version: str
    """The release that is fetched."""
    migrated_version: str
    """The version of the migrated package, which its pins and those of others accept."""
    left_out_files: Mapping[str, str]
    """Files that the copy does not have, with the reason."""
    left_out_tests: Mapping[str, str]
    """Tests that are not run, as pytest names them, with the reason."""

    @property
    def import_name(self) -> str:
        """Name of the package to import."""
        return self.name.replace("-", "_")

    @property
    def version_variable(self) -> str:
        """The variable from which its build back end takes the version, as a copy has no git history."""
        return f"SETUPTOOLS_SCM_PRETEND_VERSION_FOR_{self.import_name.upper()}"


COMMON = ClientPackage("dkist-processing-common", "14.8.0", "14.8.0+dkist", {}, {})
TEST = ClientPackage(
    "dkist-processing-test",
    "1.46.0",
    "1.46.0.post1",
    {"dkist_processing_test/workflows/exercise_gpu.py": "its lock holds CUDA, 3.6 GB, for a GPU"},
    {},
)
VBI = ClientPackage("dkist-processing-vbi", "2.3.0", "2.3.0.post1", {}, {})

CLIENTS = (COMMON, TEST, VBI)
"""In the order in which they require each other."""


class IndexMissingError(RuntimeError):
    """The index does not give a release."""

    def __init__(self, package: ClientPackage, said: str) -> None:
        super().__init__(
            f"{package.name} {package.version} cannot be fetched; check that pip reaches the index:\n{said}"
        )
        self.package = package


def fetch(package: ClientPackage) -> Path:
    """Return the source distribution of a release; it is fetched once per machine, by pip.

    Raises
    ------
    IndexMissingError
        The index does not give it.
    InterpreterMissingError
        This machine has no Python that the release runs on.
    """
    folder = cache_folder("client-packages")
    archive = folder / f"{package.import_name}-{package.version}.tar.gz"
    if not archive.exists():
        requirement = f"{package.name}=={package.version}"
        pip = [str(find_interpreter(PYTHON)), "-m", "pip", "download", "--quiet", "--no-deps"]
        done = subprocess.run(
            [*pip, "--no-binary", package.name, "--dest", str(folder), requirement],
            env=clean_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode or not archive.exists():
            raise IndexMissingError(package, done.stderr.strip())
    return archive


def migrate(package: ClientPackage, folder: Path) -> tuple[Path, list[str]]:
    """Unpack a release below a folder and run ``dkist-build migrate`` on it.

    Returns
    -------
    tuple
        The package's folder, and what the command leaves for a person to decide, one place a line.
    """
    with tarfile.open(fetch(package)) as archive:
        archive.extractall(folder, filter="data")
    source = folder / f"{package.import_name}-{package.version}"
    for path in package.left_out_files:
        (source / path).unlink()
    command = [sys.executable, "-m", "dkist_build_utils", "migrate", "--allow-dirty", str(source)]
    return source, run(command).splitlines()


def build_wheel(package: ClientPackage, source: Path, wheels: Path) -> None:
    """Build the wheel of a migrated package with its own back end."""
    env = clean_environment({package.version_variable: package.migrated_version})
    python = str(find_interpreter(PYTHON))
    run(["uv", "build", "--quiet", "--wheel", "--python", python, "--out-dir", str(wheels), str(source)], env=env)


def developer_environment(folder: Path, sources: Sequence[tuple[ClientPackage, Path]], wheels: Path) -> Path:
    """Make the environment that the migration guide describes for developers, and return its interpreter.

    Parameters
    ----------
    folder : Path
        Folder of the environment.
    sources : Sequence
        Each package to install as editable, with its tests, and its folder.
    wheels : Path
        Folder of the wheels of this project and of the migrated packages.
    """
    excluded = folder.with_suffix(".excluded")
    excluded.write_text("".join(f"{name}\n" for name in LEFT_OUT_REQUIREMENTS))
    versions = {package.version_variable: package.migrated_version for package, _ in sources}
    editable = [each for _, source in sources for each in ("--editable", f"{source}[test,workflow]")]
    return environment(
        folder,
        [*editable, "dkist-build-utils", "dkist-airflow-node[airflow]", "--excludes", str(excluded)],
        wheels,
        env=versions,
    )


def environment(
    folder: Path, requirements: Sequence[str], wheels: Path, *, env: Mapping[str, str] | None = None
) -> Path:
    """Make an environment of `PYTHON` and return its interpreter."""
    python = folder / "bin" / "python"
    variables = clean_environment(env)
    run(["uv", "venv", "--quiet", "--python", str(find_interpreter(PYTHON)), str(folder)], env=variables)
    install = ["uv", "pip", "install", "--quiet", "--python", str(python), "--find-links", str(wheels)]
    run([*install, *requirements], env=variables, timeout=900)
    return python


def clean_environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process's environment without what hatch, pytest and coverage set, and with some variables more."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(LEAKING)}
    return kept | dict(more or {})
