"""One run out of a folder of records."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dkist_build_utils import RecordError, read_run
from tests.dkist_build_utils.records.conftest import END, Records, declared, of_file


def test_run_has_its_attempts_in_order_and_what_they_used(two_tasks: Records) -> None:
    """Attempts follow their start; an item knows who generated it and who used it."""
    run = read_run(two_tasks.folder)
    assert run.title == "vbi_l0_to_l1 1.2.0, recipe run 7"
    assert [each.task for each in run.attempts] == ["Parse", "Calibrate"]
    made = [(i.name, [a.task for a in i.generated_by], [a.task for a in i.used_by], i.state) for i in run.items]
    assert made == [
        ("raw", [], ["Parse"], "not checked"),
        ("frame.fits", ["Parse"], ["Calibrate"], "same"),
        ("image.fits", ["Calibrate"], [], "same"),
    ]
    assert run.is_done
    assert run.remarks == ()


def test_run_in_two_attempts_counts_the_last_one(records: Records) -> None:
    """A task that failed and was tried again is done; both attempts are kept."""
    failed = END | {"result": "failure", "reason": "ValueError: no image"}
    records.add(end=failed)
    records.add(try_number=2)
    run = read_run(records.folder)
    assert [run.number_of(each) for each in run.attempts] == [1, 2]
    assert run.is_done
    records.add(try_number=3, end=failed)
    assert not read_run(records.folder).is_done


def test_killed_attempt_ended_without_a_word(records: Records) -> None:
    """Nothing is made up: the attempt is not done, and a remark says so."""
    records.add(end={}, tail='{"declared": "us')
    run = read_run(records.folder)
    assert not run.is_done
    assert run.remarks == (
        "Calibrate try 1 on worker-3 never reported an end: it was killed, or still runs",
        "Calibrate-1.jsonl: 1 line cannot be read",
    )


def test_files_that_are_gone_or_changed_are_named(records: Records, tmp_path: Path) -> None:
    """Another size, another time without a digest, another digest, and no file at all."""
    names = ("size", "time", "digest", "gone", "same_digest")
    paths = {name: tmp_path / f"{name}.fits" for name in names}
    lines = []
    for name, path in paths.items():
        path.write_bytes(b"image")
        # The digest of b"image".
        digest = (
            {"sha256": "6105d6cc76af400325e94d588ce511be5bfdbb73b437dc51eca43917d7a43e3d"} if "digest" in name else {}
        )
        lines.append(of_file("generated", path, **digest))
    lines.append(declared("used", f"{tmp_path.as_uri()}/never", kind="missing"))
    records.add("Parse", lines)
    paths["size"].write_bytes(b"longer image")
    paths["digest"].write_bytes(b"imagf")
    for name in ("time", "digest", "same_digest"):
        os.utime(paths[name], ns=(1, 1))
    paths["gone"].unlink()
    run = read_run(records.folder)
    assert {item.name: item.state for item in run.items} == {
        "size.fits": "changed",
        "time.fits": "touched",
        "digest.fits": "changed",
        "gone.fits": "gone",
        "same_digest.fits": "same",
        "never": "missing",
    }
    assert [remark.partition(": ")[2] for remark in run.remarks] == [
        "changed since it was recorded",
        "its time has changed since, and no digest was recorded",
        "gone: it is not where it was, or not on this host",
        "it did not exist when it was declared",
    ]
    assert "and 1 other: changed" in run.remarks[0]
    assert read_run(records.folder, check_files=False).remarks == ()


def test_input_that_is_not_what_was_generated_is_named(records: Records, tmp_path: Path) -> None:
    """Somebody changed a file between two tasks."""
    path = tmp_path / "frame.fits"
    path.write_bytes(b"raw")
    made = of_file("generated", path)
    path.write_bytes(b"edited by hand")
    records.add("Parse", [made])
    records.add("Calibrate", [of_file("used", path)])
    (remark, _) = read_run(records.folder).remarks
    assert remark == f"{path.as_uri()} was changed after Parse generated it and before Calibrate used it"


def test_several_runs_in_a_folder_must_be_told_apart(records: Records) -> None:
    """A folder of a worker holds many runs: the message names them and the options."""
    records.add()
    records.add(recipe_run_id=8)
    records.add(workflow="visp_l0_to_l1")
    records.add(workflow_version="2.0.0")
    with pytest.raises(RecordError, match=r"--recipe-run-id, --workflow or --workflow-version\. It has .*2\.0\.0, "):
        read_run(records.folder)
    with pytest.raises(RecordError, match=r"no record of that run\. It has vbi_l0_to_l1 1\.2\.0, recipe run 7; "):
        read_run(records.folder, 9)
    assert read_run(records.folder, 8).recipe_run_id == 8
    assert read_run(records.folder, 7, workflow="visp_l0_to_l1").workflow == "visp_l0_to_l1"
    assert read_run(records.folder, 7, workflow="vbi_l0_to_l1", version="2.0.0").versions == ("2.0.0",)


def test_folder_without_a_record_says_how_to_get_one(tmp_path: Path) -> None:
    """No folder, an empty one, and one with other files; what hangs a reader is passed over."""
    with pytest.raises(RecordError, match="not a folder; give the one that DKIST_RECORD_FOLDER named"):
        read_run(tmp_path / "nowhere")
    with pytest.raises(RecordError, match="holds no record; set DKIST_RECORD_FOLDER"):
        read_run(tmp_path)
    os.mkfifo(tmp_path / "pipe.jsonl")
    (tmp_path / "folder.jsonl").mkdir()
    (tmp_path / "other.jsonl").write_bytes(b"\xff\xfe no record")
    with pytest.raises(RecordError, match="holds no record"):
        read_run(tmp_path)


def test_file_that_is_no_record_is_named_beside_others(records: Records) -> None:
    """One bad file does not hide the run."""
    records.add()
    (records.folder / "other.jsonl").write_text("{}\n")
    assert read_run(records.folder).remarks == ("other.jsonl is not a record that can be read; it is left out",)


def test_rollback_is_an_attempt_that_made_nothing(records: Records) -> None:
    """A rollback neither makes its task done nor generates what it names."""
    records.add(end=END | {"result": "failure"})
    records.add(lines=[declared("used", "s3://bucket/raw")], action="rollback")
    run = read_run(records.folder)
    assert [run.number_of(each) for each in run.attempts] == [1, 1]
    assert not run.is_done
    assert run.items == ()
