"""Records of attempts, as files that tasks of any version and any fate leave."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

START: dict[str, Any] = {
    "record": 1,
    "started": "2026-11-24T10:00:00.000Z",
    "action": "run",
    "task": "Calibrate",
    "entry_point": "instrument.tasks:Calibrate",
    "workflow": "vbi_l0_to_l1",
    "workflow_version": "1.2.0",
    "recipe_run_id": 7,
    "try_number": 1,
    "parameters": {"threshold": 0.5},
    "distribution": "instrument 1.2.0",
    "distributions": {"dkist-task": "0.1.0", "numpy": "2.1.0"},
    "python": "3.11.7",
    "host": "worker-3",
    "system": "Linux 6.1 x86_64",
}
END: dict[str, Any] = {
    "ended": "2026-11-24T10:00:09.000Z",
    "result": "success",
    "peak_memory_bytes": 50_000_000,
    "cpu_seconds": 1.5,
}


def declared(direction: str, uri: str, **members: Any) -> dict[str, Any]:
    """Return a declaration."""
    return {"declared": direction, "uri": uri, "kind": "uri", "time": "2026-11-24T10:00:05.000Z", **members}


def of_file(direction: str, path: Path, **members: Any) -> dict[str, Any]:
    """Return the declaration of a file as it is now."""
    found = path.stat()
    known = {"kind": "file", "size": found.st_size, "modified_ns": found.st_mtime_ns}
    return declared(direction, path.as_uri(), **(known | members))


@dataclass
class Records:
    """A folder of records."""

    folder: Path
    """The folder."""
    count: int = field(default=0)
    """How many there are."""

    def add(
        self,
        task: str = "Calibrate",
        lines: Iterable[dict[str, Any]] = (),
        end: dict[str, Any] | None = None,
        tail: str = "",
        **start: Any,
    ) -> Path:
        """Add the record of an attempt that began a minute after the one before; an empty `end` is that of a kill."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.count += 1
        began = {"started": f"2026-11-24T10:{self.count:02d}:00.000Z"}
        ended = END | {"ended": f"2026-11-24T10:{self.count:02d}:09.000Z"} if end is None else end
        every = [START | began | {"task": task} | start, *lines, *([ended] if ended else [])]
        path = self.folder / f"{re.sub('[^A-Za-z]', '_', task)[:50]}-{self.count}.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in every) + tail)
        return path


@pytest.fixture
def records(tmp_path: Path) -> Records:
    """Return an empty folder of records."""
    return Records(tmp_path / "records")


@pytest.fixture
def two_tasks(records: Records, tmp_path: Path) -> Records:
    """Return records of two tasks: what the first generates, the second uses."""
    (tmp_path / "frame.fits").write_bytes(b"raw")
    (tmp_path / "image.fits").write_bytes(b"calibrated")
    made = of_file("generated", tmp_path / "frame.fits")
    records.add("Parse", [declared("used", "s3://bucket/raw"), made])
    lines = [of_file("used", tmp_path / "frame.fits"), of_file("generated", tmp_path / "image.fits")]
    records.add("Calibrate", lines)
    return records
