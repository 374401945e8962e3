"""Packages that are written for one test."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import Distribution, distributions
from typing import TYPE_CHECKING

from harness.packages import PACKAGES, Package, build_wheels

if TYPE_CHECKING:
    from pathlib import Path

PACKAGE = Package(
    "dkist-processing-tiny",
    version="2.1.0",
    modules={"tasks": "NUMBER = 1", "sub.more": "from dkist_processing_tiny.tasks import NUMBER"},
    dependencies=["packaging>=20"],
    extras={"quality": ["attrs"]},
)


def test_a_wheel_is_the_same_bytes_each_time(tmp_path: Path) -> None:
    """Two wheels of one package are equal."""
    assert PACKAGE.write_wheel(tmp_path / "a").read_bytes() == PACKAGE.write_wheel(tmp_path / "b").read_bytes()


def test_wheel_and_source_install_alike(tmp_path: Path) -> None:
    """Uv installs the hand-made wheel, with metadata and modules equal to what hatchling makes of the source."""
    by_hand = _installed(PACKAGE.write_wheel(tmp_path / "by hand"), tmp_path / "one")
    (built,) = build_wheels(tmp_path / "built", [PACKAGE.write_source(tmp_path)])
    by_hatchling = _installed(built, tmp_path / "two")
    for distribution in (by_hand, by_hatchling):
        assert distribution.version == "2.1.0"
        assert distribution.requires == ["packaging>=20", "attrs; extra == 'quality'"]
        assert {str(file) for file in distribution.files or () if file.suffix == ".py"} == {
            "dkist_processing_tiny/__init__.py",
            "dkist_processing_tiny/tasks.py",
            "dkist_processing_tiny/sub/__init__.py",
            "dkist_processing_tiny/sub/more.py",
        }


def test_builds_the_projects_own_wheels(tmp_path: Path) -> None:
    """One wheel for each of the four distributions."""
    names = [wheel.name.partition("-")[0].replace("_", "-") for wheel in build_wheels(tmp_path)]
    assert names == list(PACKAGES)


def _installed(wheel: Path, target: Path) -> Distribution:
    command = [
        "uv",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--python",
        sys.executable,
        "--target",
        str(target),
        str(wheel),
    ]
    subprocess.run(command, check=True)
    (found,) = distributions(path=[str(target)])
    return found
