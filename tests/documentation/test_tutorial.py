"""The tutorial is true: who types its commands, and writes its files, gets to a release."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.packages import OWN_PROJECTS, build_wheels
from tests.documentation.blocks import ROOT, blocks_of

NOT_OF_A_READER = ("UV_", "HATCH", "PYTHONPATH", "VIRTUAL_ENV", "BUILD_VERSION", "PYTEST_", "DKIST_")


@pytest.fixture
def shell(tmp_path: Path) -> dict[str, str]:
    """Return the variables of a shell in whose environment ``dkist-build`` is installed, as the README does it."""
    wheels = tmp_path / "wheels"
    build_wheels(wheels, OWN_PROJECTS)
    environment = tmp_path / "my-env"
    variables = {name: value for name, value in os.environ.items() if not name.startswith(NOT_OF_A_READER)}
    path = f"{environment / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    variables |= {"VIRTUAL_ENV": str(environment), "UV_FIND_LINKS": str(wheels), "PATH": path}
    for command in (
        ["uv", "venv", "-q", "--python", "3.11", str(environment)],
        ["uv", "pip", "install", "-q", "dkist-build-utils"],
    ):
        subprocess.run(command, env=variables, check=True)
    return variables


def test_the_tutorial_comes_to_a_release(tmp_path: Path, shell: dict[str, str]) -> None:
    """Every command succeeds in its order; what the text says can be seen."""
    page = ROOT / "docs" / "tutorial" / "index.md"
    script = [f"cd {tmp_path}"]
    for block in blocks_of(page):
        if block.file:
            script.append(f"cat >{block.file} <<'END OF FILE'\n{block.text}END OF FILE")
        elif block.language == "sh":
            script.append(block.text)
    assert len(script) > 12
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(script)], env=shell, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (graph,) = (block.text for block in blocks_of(page) if block.language == "text" and "└─" in block.text)
    assert graph in done.stdout
    assert "it failed, as it should" in done.stdout
    assert "ProductMissingError" in done.stdout
    package = tmp_path / "sun-spectra"
    assert (package / "data" / "1" / "quality" / "noise.json").exists()
    assert (package / "record" / "record.svg").exists()
    assert (package / ".dkist-run" / "sun_spectra_l0_to_l1-1" / "logs" / "MeasureNoise-2.log").exists()
    assert (package / "release" / "sun-spectra_0.1.0.tar.gz").exists()
