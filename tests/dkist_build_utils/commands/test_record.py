"""``dkist-build record``, run as a user does after runs that went well, failed, were killed and went on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.dkist_build_utils.local_run.local import Local
from tests.dkist_build_utils.records.conftest import Records, declared
from tests.dkist_build_utils.records.test_crate import as_rocrate_reads, entities, report_on

TASKS = """
from pathlib import Path

class Parse(Tallied):
    def work(self):
        Path("frame").write_text("raw")
        self.generated("frame", sha256=True)
class Left(Tallied):
    def work(self):
        self.used("frame", sha256=True)
        if Path("kill").exists():
            os.kill(os.getpid(), signal.SIGKILL)
        Path("image").write_text("image")
        self.generated("image")
"""


def record(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "dkist_build_utils", "record", *map(str, arguments)],
        cwd=cwd,
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def local(tmp_path: Path) -> Local:
    """Return a package whose tasks declare what they use and generate; one of them kills itself if it is asked to."""
    local = Local(tmp_path)
    local.write(TASKS)
    return local


def test_local_run_that_was_killed_and_went_on_has_one_record(local: Local, tmp_path: Path) -> None:
    """Both attempts are in it; the journal says how the killed one ended, and the files are as they were."""
    (tmp_path / "kill").touch()
    assert local.states()["Left"] == "failure"
    done = record(local.run_folder, "--output", "first", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "first\n", "")
    killed = entities(tmp_path / "first")["#run/Left/1"]
    assert killed["error"].startswith("its process was ended by SIGKILL")
    assert killed["endTime"] > killed["startTime"]
    assert killed["object"][0] == {"@id": (tmp_path / "frame").as_uri()}

    (tmp_path / "kill").unlink()
    assert set(local.states().values()) == {"success", "kept"}
    done = record(local.run_folder, "--prov-json", "--svg", "picture.svg", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "record_small_main_7\n", "")
    crate = tmp_path / "record_small_main_7"
    found = entities(crate)
    assert found["#control/Left"]["object"] == [{"@id": "#run/Left/1"}, {"@id": "#run/Left/2"}]
    assert found["#run"]["actionStatus"] == {"@id": "http://schema.org/CompletedActionStatus"}
    assert found["#engine"]["name"].startswith("dkist-build-utils ")
    assert found[(tmp_path / "frame").as_uri()]["sha256"]
    assert as_rocrate_reads(crate)["main"] == "workflow.json"
    assert report_on(crate).count("step: workflow.json#step/Left") == 2
    assert json.loads((crate / "prov.json").read_text())["wasGeneratedBy"]
    assert (tmp_path / "picture.svg").read_bytes() == (crate / "record.svg").read_bytes()


def test_what_a_reader_has_to_know_is_on_standard_error(local: Local, tmp_path: Path) -> None:
    """A file that was removed since is a note, unless nobody asks."""
    local.summary("--only", "Parse")
    (tmp_path / "frame").unlink()
    noted = record(local.run_folder, cwd=tmp_path)
    assert noted.returncode == 0
    assert noted.stderr == f"note: {(tmp_path / 'frame').as_uri()}: gone: it is not where it was, or not on this host\n"
    assert record(local.run_folder, "--no-check-files", cwd=tmp_path).stderr == ""


def test_one_of_several_runs_is_chosen(records: Records, tmp_path: Path) -> None:
    """Without a choice the command says what there is, in one line, and writes nothing."""
    records.add(lines=[declared("used", "s3://bucket/seven")])
    records.add(recipe_run_id=8)
    done = record(records.folder, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert "choose one with --recipe-run-id" in line
    assert [path.name for path in tmp_path.iterdir()] == ["records"]
    done = record(records.folder, "--recipe-run-id", "8", cwd=tmp_path)
    assert done.stdout == "record_vbi_l0_to_l1_8\n"
    assert "s3://bucket/seven" not in (tmp_path / "record_vbi_l0_to_l1_8" / "ro-crate-metadata.json").read_text()
