"""A manifest that somebody wrote by hand is refused in one line, and never keeps other versions from their work."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dkist_build_utils import deployed_versions, holdings
from dkist_build_utils.deployment import UnknownVersion
from dkist_build_utils.release.folder import MAXIMUM_BYTES
from tests.dkist_build_utils.deployment.conftest import write_version

WRONG: tuple[Any, ...] = (None, True, 0, -1, 1.5, 10**400, "", "../a", "a\n\x1b[2J", "a" * 9999, [], {}, [[]], {"a": 1})


def changed(value: Any) -> Iterator[Any]:
    """Yield a JSON value with one part of it replaced or left out, for every part and every wrong value."""
    yield from WRONG
    if isinstance(value, dict):
        for key, member in value.items():
            yield {other: each for other, each in value.items() if other != key}
            for each in changed(member):
                yield value | {key: each}
    elif isinstance(value, list) and value:
        for each in changed(value[0]):
            yield [each, *value[1:]]


def test_every_wrong_member_is_one_line_and_blocks_nothing(dags: Path) -> None:
    """A wrong member gives one line and no traceback, and other versions are still listed and checked."""
    write_version(dags, "good_1", ["numpy==1", "good==1"])
    file = write_version(dags, "odd_1", ["numpy==1", "odd==1"]) / "manifest.json"
    manifest = json.loads(file.read_text())
    manifest["workflows"][0]["tasks"] = manifest["workflows"][0]["tasks"][:1]
    manifest |= {"source": {"commit": "0a", "is_clean": True}, "origins": {"find-links": ["numpy==1"]}}
    count = 0
    for content in changed(manifest):
        file.write_text(json.dumps(content))
        good, odd = deployed_versions(dags)
        assert (good.name, good.damage) == ("good_1", None)
        assert odd.damage is None or "\x1b" not in odd.damage
        assert len(odd.damage or "") < 2000
        answer = holdings(dags, "numpy")
        assert "good_1" in {each.name for each in answer.found}
        assert all("\n" not in each.reason and "\x1b" not in each.reason for each in answer.unknown)
        count += 1
    assert count > 300


def test_manifest_that_is_no_file_blocks_nothing(dags: Path) -> None:
    """A folder in the place of a manifest, or of a lock, is named."""
    write_version(dags, "good_1", ["numpy==1", "good==1"])
    (dags / "odd_1" / "manifest.json").mkdir(parents=True)
    lock = write_version(dags, "odd_2", ["numpy==1", "odd==2"]) / "requirements.txt"
    lock.unlink()
    lock.mkdir()
    (dags / "odd_3").mkdir()
    (dags / "odd_3" / "manifest.json").symlink_to("nowhere")
    answer = holdings(dags, "numpy")
    assert [each.name for each in answer.found] == ["good_1"]
    assert UnknownVersion("odd_2", "requirements.txt cannot be read: Is a directory") in answer.unknown
    assert {each.name for each in answer.unknown} >= {"odd_1", "odd_2"}
    assert {each.name: each.damage is None for each in deployed_versions(dags)}["good_1"]


def test_what_nobody_can_read_to_its_end_is_named_at_once(dags: Path) -> None:
    """A pipe, a device or a file without an end, and a lock outside of the version, are never waited for."""
    write_version(dags, "good_1", ["numpy==1", "good==1"])
    for number, put in enumerate((os.mkfifo, lambda path: path.symlink_to("/dev/zero"), _write_huge)):
        manifest = write_version(dags, f"odd_{number}", ["numpy==1"]) / "manifest.json"
        manifest.unlink()
        put(manifest)
    manifest = write_version(dags, "odd_3", ["numpy==1"]) / "manifest.json"
    text = manifest.read_text()
    manifest.write_text(text.replace('"locks": {"requirements.txt"', '"locks": {"../../../../../../../../../dev/zero"'))
    os.mkfifo(write_version(dags, "odd_4", ["numpy==1"]) / "pipe")
    answer = holdings(dags, "numpy")
    assert [each.name for each in answer.found] == ["good_1", "odd_4"]
    assert [each.reason.removeprefix(f"{dags}/") for each in answer.unknown] == [
        "odd_0/manifest.json cannot be read: it is not a regular file",
        "odd_1/manifest.json cannot be read: it is not a regular file",
        "odd_2/manifest.json cannot be read: File too large",
        "manifest.json names a lock that is not a plain name",
    ]
    damages = [(version.name, version.damage is None) for version in deployed_versions(dags)]
    assert damages == [("good_1", True), *((f"odd_{number}", False) for number in range(5))]


def _write_huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(MAXIMUM_BYTES + 1)
