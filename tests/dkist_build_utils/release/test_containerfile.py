"""A Containerfile installs from the lock alone. No engine is needed to see it: its steps run in a plain folder."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dkist_build_utils import BuildError, export, write_containerfiles
from dkist_build_utils.commands.cli import cli
from tests.dkist_build_utils.conftest import Install, instrument

RUNNING = f"{sys.version_info.major}.{sys.version_info.minor}"


def built(containerfile: Path, context: Path, root: Path) -> tuple[Path, list[str]]:
    """Run the steps of the stage that builds, below a folder; return the environment and the entry point."""
    text = containerfile.read_text().replace("\\\n", "")
    steps = [line.partition(" ") for line in text.splitlines() if line and not line.startswith("#")]
    environ = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(root)}
    entry_point: list[str] = []
    for instruction, _, stated in steps:
        rest = stated.replace("/opt/dkist", f"{root}/opt/dkist").replace(" /release", f" {root}/release")
        if instruction == "COPY" and not rest.startswith("--from"):
            source, target = shlex.split(rest)
            Path(target).parent.mkdir(parents=True, exist_ok=True)
            copy = shutil.copytree if (context / source).is_dir() else shutil.copyfile
            copy(context / source, target)
        elif instruction == "RUN":
            subprocess.run(["sh", "-c", rest], check=True, env=environ, capture_output=True, timeout=120)
        elif instruction == "ENTRYPOINT":
            entry_point = json.loads(rest)
    return root / "opt" / "dkist", entry_point


def test_steps_install_from_the_wheels_alone(
    install: Install, offline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment has what the lock names, without an index, and no Airflow; its entry point is the launcher."""
    package = instrument()
    package.write_wheel(offline)
    folder = export(f"{install(package)}.workflows", tmp_path / "out", version="1.0.0", wheelhouse=True)
    paths = write_containerfiles(folder)
    assert [path.name for path in paths] == [f"{folder.name}.quality.Containerfile", f"{folder.name}.Containerfile"]
    before = [path.read_bytes() for path in paths]
    assert b"MODULE:CLASS --recipe-run-id 1 --workflow-name NAME --workflow-version 1.0.0\nFROM" in before[-1]
    assert [path.read_bytes() for path in write_containerfiles(folder)] == before
    monkeypatch.delenv("UV_FIND_LINKS")
    shutil.rmtree(offline)
    root = tmp_path / "root"
    root.mkdir()
    environment, entry_point = built(paths[-1], folder, root)
    names = {path.name.partition("-")[0] for path in environment.glob("lib/*/site-packages/*.dist-info")}
    assert names == {"dkist_task", package.import_name}
    assert entry_point == [f"{environment}/bin/python", "-P", "-m", "dkist_task"]
    subprocess.run([entry_point[0], "-P", "-c", f"import {package.import_name}.tasks"], check=True)


def test_release_without_locks_is_refused(install: Install, tmp_path: Path) -> None:
    """Without a lock, an image would hold something else each time that it is built."""
    folder = export(f"{install(instrument())}.workflows", tmp_path / "out", version="1.0.0", lock=False)
    with pytest.raises(BuildError, match="has no locks"):
        write_containerfiles(folder)
    assert "image" in cli.commands
