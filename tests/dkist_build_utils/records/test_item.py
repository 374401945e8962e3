"""Inputs and outputs by their URIs."""

from __future__ import annotations

import os
from pathlib import Path

from dkist_build_utils import read_run
from dkist_build_utils.records.item import path_of, state_of
from dkist_task.record import description_of
from tests.dkist_build_utils.records.conftest import Records, declared


def test_names_of_any_bytes_are_found_again(records: Records, tmp_path: Path) -> None:
    """What `dkist-task` coded is decoded to the same file, and shown as text that any page can hold."""
    path = tmp_path / os.fsdecode(b"caf\xe9 <b>#%\n.fits")
    path.write_bytes(b"x")
    known = description_of(str(path), sha256=True)
    records.add(lines=[{"declared": "generated", "time": "", **known}])
    (item,) = read_run(records.folder).items
    assert path_of(item.uri) == os.fsencode(path)
    assert item.state == "same"
    assert item.name == "caf? <b>#%\n.fits"
    assert item.place == str(tmp_path)


def test_folder_and_uri_have_names_and_no_false_alarm(records: Records, tmp_path: Path) -> None:
    """A folder that is there is the same; a URI and a device are not looked at."""
    records.add(
        lines=[
            declared("used", tmp_path.as_uri(), kind="folder"),
            declared("used", "doi:10.1000/182"),
            declared("used", "file:///dev/null", kind="other"),
            declared("used", "file:///a%00b", kind="file", size=1, modified_ns=1),
        ]
    )
    items = read_run(records.folder).items
    assert [item.state for item in items] == ["same", "not checked", "not checked", "gone"]
    assert [item.name for item in items[:2]] == [tmp_path.name, "182"]
    assert state_of(items[0].last) == "same"


def test_last_generation_counts(records: Records, tmp_path: Path) -> None:
    """A file that a second attempt made anew is compared to what that one recorded, whoever used it later."""
    path = (tmp_path / "image.fits").as_uri()
    records.add(lines=[declared("generated", path, size=1), declared("generated", path, size=2)])
    records.add(lines=[declared("generated", path, size=3)], try_number=2)
    records.add("Report", [declared("used", path, size=4)])
    (item,) = read_run(records.folder).items
    assert item.last.size == 3
    assert [each.try_number for each in item.generated_by] == [1, 2]
