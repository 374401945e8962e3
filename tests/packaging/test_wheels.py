"""What a wheel brings with it: every dependency is paid for by every environment that installs it."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DISTRIBUTIONS = ("dkist-task", "dkist-workflow", "dkist-airflow-node", "dkist-build-utils")

OPENTELEMETRY = {
    "opentelemetry-api",
    "opentelemetry-sdk",
    "opentelemetry-semantic-conventions",
    "typing-extensions",
}
ARRIVES = {"dkist-task": {"dkist-task"} | OPENTELEMETRY}
ARRIVES["dkist-workflow"] = ARRIVES["dkist-task"] | {"dkist-workflow"}
ARRIVES["dkist-airflow-node"] = ARRIVES["dkist-workflow"] | {"dkist-airflow-node", "click", "pika"}
CYCLONEDX = {
    "boolean-py",
    "cyclonedx-python-lib",
    "defusedxml",
    "license-expression",
    "packageurl-python",
    "py-serializable",
    "sortedcontainers",
}
ARRIVES["dkist-build-utils"] = (
    ARRIVES["dkist-airflow-node"] | CYCLONEDX | {"dkist-build-utils", "click", "packaging", "uv"}
)


def clean_environment() -> dict[str, str]:
    """Return the environment less what the project's own environments set for theirs."""
    return {
        key: value for key, value in os.environ.items() if key not in {"VIRTUAL_ENV", "UV_CONSTRAINT", "PYTHONPATH"}
    }


def run(*command: str | Path) -> str:
    """Run a command to its end; return what it printed."""
    done = subprocess.run(
        [str(part) for part in command], env=clean_environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@dataclass(frozen=True)
class Installed:
    """A fresh environment that holds one wheel and what it requires."""

    python: Path
    """Its interpreter."""

    @property
    def distributions(self) -> set[str]:
        """The names of all that is installed in it."""
        listing = run("uv", "pip", "list", "--quiet", "--format", "freeze", "--python", self.python)
        return {line.partition("==")[0] for line in listing.splitlines()}


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a wheel of every distribution."""
    folder = tmp_path_factory.mktemp("wheels")
    for name in DISTRIBUTIONS:
        run("uv", "build", "--quiet", "--wheel", "--out-dir", folder, ROOT / "packages" / name)
    return folder


@pytest.fixture(params=DISTRIBUTIONS)
def installed(request: pytest.FixtureRequest, wheels: Path, tmp_path: Path) -> tuple[str, Installed]:
    """Return a distribution's name and an environment with its wheel alone; siblings come from the built wheels."""
    name = request.param
    found = {path.name.partition("-")[0].replace("_", "-"): path for path in wheels.glob("*.whl")}
    constraints = tmp_path / "siblings.txt"
    constraints.write_text("".join(f"{sibling} @ {path.as_uri()}\n" for sibling, path in found.items()))
    python = tmp_path / "venv" / "bin" / "python"
    run("uv", "venv", "--quiet", "--python", sys.executable, tmp_path / "venv")
    run("uv", "pip", "install", "--quiet", "--python", python, "--constraint", constraints, found[name])
    return name, Installed(python)


def test_wheel_alone_brings_exactly_what_it_must(installed: tuple[str, Installed]) -> None:
    """The set of distributions that arrive is exact; Airflow and a database library arrive with none."""
    name, environment = installed
    assert environment.distributions == ARRIVES[name]
    package = name.replace("-", "_")
    program = f"""
from importlib.util import find_spec
import {package}.__about__
assert find_spec("airflow") is None and find_spec("sqlalchemy") is None
from importlib.metadata import distribution
dist = distribution("{name}")
assert dist.version == {package}.__about__.__version__
assert dist.metadata["License-Expression"] == "BSD-3-Clause"
names = [str(file) for file in dist.files]
assert "{package}/py.typed" in names
assert any(file.endswith("licenses/LICENSE") for file in names)
assert dist.metadata.get_payload().startswith("# {name}"), "the README is the description"
print("fine")
"""
    assert run(environment.python, "-c", program) == "fine\n"


def test_index_takes_every_wheel(wheels: Path) -> None:
    """``twine check`` finds nothing to say about metadata and description."""
    found = sorted(wheels.glob("*.whl"))
    assert len(found) == len(DISTRIBUTIONS)
    said = run(sys.executable, "-m", "twine", "--no-color", "check", "--strict", *found)
    assert said.count("PASSED") == len(DISTRIBUTIONS)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_wheel_holds_its_package_and_nothing_else(wheels: Path, name: str) -> None:
    """Every file under ``src`` is in the wheel; no test, no cache and no other package is."""
    package = name.replace("-", "_")
    (wheel,) = wheels.glob(f"{package}-*.whl")
    source = ROOT / "packages" / name / "src"
    expected = {
        path.relative_to(source).as_posix()
        for path in source.rglob("*")
        if path.is_file() and not {"__pycache__", ".ruff_cache"} & set(path.parts)
    }
    with zipfile.ZipFile(wheel) as archive:
        held = {item for item in archive.namelist() if ".dist-info/" not in item}
    assert held == expected


def test_two_builds_of_a_wheel_are_the_same_bytes(wheels: Path, tmp_path: Path) -> None:
    """A lock that was made from one build is good for the next one of the same source."""
    run("uv", "build", "--quiet", "--wheel", "--out-dir", tmp_path, ROOT / "packages" / "dkist-task")
    (again,) = tmp_path.glob("*.whl")
    assert again.read_bytes() == (wheels / again.name).read_bytes()
