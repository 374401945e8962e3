"""Spans read from the files that tasks left."""

from __future__ import annotations

from pathlib import Path

import pytest

from dkist_build_utils.errors import SpansError
from dkist_build_utils.pictures.span import read_spans
from dkist_build_utils.pictures.timeline import render_timeline


def test_lines_that_are_no_spans_are_skipped_and_counted(span_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What a killed task or another program left does not hide the rest, and the page says that it was there."""
    before = read_spans(span_folder)
    assert before.skipped_lines == 0
    file = next(path for path in span_folder.rglob("*") if path.is_file())
    file.write_bytes(file.read_bytes() + b'{"resourceSpans":[{"resource"')
    span = '{"traceId": "1", "spanId": "2", "name": "x", "startTimeUnixNano": "%s", "endTimeUnixNano": "%s"}'
    line = '{"resourceSpans": [{"scopeSpans": [{"spans": [%s]}]}]}'
    strange = ["7", "[" * 100_000, '{"resourceSpans": [{"scopeSpans": 3}]}', line % "{}", line % (span % (9, 1)),
               line % (span % (0, "9" * 400)), line % (span % (0, "9" * 30))]  # fmt: skip
    (span_folder / "notes.json").write_text("\n\n".join(strange))
    after = read_spans(span_folder)
    assert after.spans == before.spans
    assert after.skipped_lines == 1 + len(strange)
    assert "; 8 lines without spans skipped</p>" in render_timeline(span_folder)
    assert "skipped 8 lines without spans" in caplog.text


@pytest.mark.parametrize("name", ["empty", "missing"])
def test_a_folder_without_spans_is_refused(tmp_path: Path, name: str) -> None:
    """There is nothing to draw, and the message says what to set."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(SpansError, match="DKIST_SPAN_FOLDER"):
        read_spans(tmp_path / name)
