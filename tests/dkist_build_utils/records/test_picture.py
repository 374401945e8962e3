"""A run as a picture file."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree as ET

from dkist_build_utils import read_run, record_svg
from tests.dkist_build_utils.records.conftest import END, Records, declared

SVG = "{http://www.w3.org/2000/svg}"


def boxes(text: str) -> dict[str, tuple[str, str]]:
    """Return the classes and the lower line of each box of a picture, by its upper line."""
    found = {}
    for group in ET.fromstring(text).iter(f"{SVG}g"):
        name, note = (str(each.text) for each in group.iter(f"{SVG}text"))
        found[name] = (str(group.get("class")), note)
    return found


def edges(text: str) -> list[str]:
    """Return the classes of the edges of a picture."""
    return [str(path.get("class")) for path in ET.fromstring(text).iter(f"{SVG}path") if path.get("class") != "head"]


def test_picture_shows_what_came_from_what(two_tasks: Records, tmp_path: Path) -> None:
    """Tasks and files are boxes, what is used and generated is an edge, and nothing outside the file is needed."""
    run = read_run(two_tasks.folder)
    text = record_svg(run)
    shown = boxes(text)
    assert {name: kind for name, (kind, _) in shown.items()} == {
        "Parse": "task",
        "Calibrate": "task",
        "raw": "files",
        "frame.fits": "files",
        "image.fits": "files",
    }
    assert shown["raw"][1] == "bucket"
    assert shown["frame.fits"][1].startswith(tmp_path.name[:20])
    assert edges(text) == ["edge"] * 4
    assert text.count("http") == 1
    assert "prefers-color-scheme: dark" in text
    assert text == record_svg(run)


def test_picture_shows_what_went_wrong(records: Records, tmp_path: Path) -> None:
    """A failure, a kill, a retry, and files that are gone or changed are marked."""
    kept = tmp_path / "kept.fits"
    kept.write_bytes(b"x")
    lines = [
        declared("generated", (tmp_path / "gone.fits").as_uri(), kind="file", size=1),
        declared("generated", kept.as_uri(), kind="file", size=2),
    ]
    records.add("Parse", lines, end=END | {"result": "failure"})
    records.add("Parse", lines, try_number=2)
    records.add("Dark", [declared("used", kept.as_uri())], end={})
    records.add("Gain", end=END | {"result": "failure", "reason": "ValueError: <b>"})
    shown = boxes(record_svg(read_run(records.folder)))
    assert shown["Parse"] == ("task", "success · 2 attempts")
    assert shown["Dark"] == ("task silent", "never reported an end")
    assert shown["Gain"] == ("task failed", "failure")
    assert shown["gone.fits"][0] == "files gone"
    assert shown["kept.fits"][0] == "files changed"


def test_file_that_is_changed_in_place_is_an_edge_back(records: Records) -> None:
    """A task that uses and generates one file makes a cycle, which is drawn."""
    records.add("Parse", [declared("generated", "s3://bucket/table")])
    records.add("Append", [declared("used", "s3://bucket/table"), declared("generated", "s3://bucket/table")])
    assert sorted(edges(record_svg(read_run(records.folder)))) == ["edge", "edge", "edge back"]


def test_thousands_of_files_and_hostile_names_stay_legible(records: Records) -> None:
    """The number of boxes does not grow with files; markup, control characters and long names break nothing."""
    uris = [f"file:///data/{number % 3}/{'x' * 200}{number:05}.fits" for number in range(5000)]
    nasty = "<script>&\"'\x1b]8;;\x07 \u202e"
    records.add(nasty, [declared("generated", uri, kind="file", size=1000) for uri in uris])
    records.add("T" * 300, [declared("used", uri, kind="file") for uri in [*uris, f"s3://bucket/{nasty}"]])
    text = record_svg(read_run(records.folder, check_files=False))
    shown = boxes(text)
    assert text.count("<g class=") == 6
    assert all(len(line) <= 34 for name, (_, note) in shown.items() for line in (name, note))
    assert "<script" not in text
    assert not re.search(r"[\x00-\x08\x0b-\x1f\u202e]", text)
    assert len(text) < 60_000


def test_tasks_without_declarations_are_drawn(records: Records) -> None:
    """A run whose tasks declared nothing has a picture all the same."""
    records.add("Parse")
    records.add("Calibrate")
    text = record_svg(read_run(records.folder))
    assert list(boxes(text)) == ["Parse", "Calibrate"]
    assert edges(text) == []
