"""The pipeline that an instrument repository copies, run as it is written."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]  # comes with Airflow, its types do not

from dkist_build_utils import deploy, deployed_versions
from harness.packages import OWN_PROJECTS, ROOT, build_wheels


def test_pipeline_releases_the_template(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step of the pipeline, in order and in a fresh clone, brings the template to a deployable archive."""
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    monkeypatch.delenv("UV_CONSTRAINT", raising=False)
    for wheel in build_wheels(tmp_path / "wheels", OWN_PROJECTS):
        _publish(wheel, index)
    store = tmp_path / "store"
    store.mkdir()
    published = index / "template-instrument"
    published.mkdir()
    settings = {
        "BITBUCKET_TAG": "0.1.0",
        "PUBLISH_CODE": f"cp -t {published}",
        "PUBLISH_ARCHIVE": f"cp -t {store}",
        # An image has its own pip; this interpreter may have none, and has uv.
        "PATH": f"{_stand_in_for_pip(tmp_path)}:{os.environ['PATH']}",
    }
    pipeline = yaml.safe_load((ROOT / "docs" / "how-to" / "release-pipeline.yml").read_text())
    artifacts = tmp_path / "artifacts"
    artifacts.mkdir()
    names = []
    for step in (entry["step"] for entry in pipeline["pipelines"]["tags"]["*"]):
        names.append(step["name"])
        clone = tmp_path / step["name"].replace(" ", "-")
        shutil.copytree(ROOT / "examples" / "template-instrument", clone)
        shutil.copytree(artifacts, clone, dirs_exist_ok=True)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", "\n".join(step["script"])],
            cwd=clone,
            env=os.environ | settings,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{step['name']}: {done.stdout}{done.stderr}"
        for pattern in step.get("artifacts", ()):
            for file in clone.glob(pattern):
                kept = artifacts / file.relative_to(clone)
                kept.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, kept)
    assert names == ["test", "build", "publish code", "export and archive", "publish archive"]
    (archive,) = store.iterdir()
    assert archive.name == "template-instrument_0.1.0.tar.gz"
    dags = tmp_path / "dags"
    dags.mkdir()
    deploy(archive, dags, airflow=False)
    (version,) = deployed_versions(dags)
    assert version.dag_ids == ("template_instrument_l0_to_l1_0.1.0",)


def _publish(wheel: Path, index: Path) -> None:
    folder = index / wheel.name.partition("-")[0].replace("_", "-")
    folder.mkdir()
    shutil.copy(wheel, folder)


def _stand_in_for_pip(tmp_path: Path) -> Path:
    """Return a folder with a pip that installs nothing: what the pipeline has it install is here."""
    folder = tmp_path / "bin"
    folder.mkdir()
    pip = folder / "pip"
    pip.write_text('#!/bin/sh\ntest "$*" = "install --quiet uv"\n')
    pip.chmod(0o755)
    return folder
