"""A notebook is waited for until it is saved, and turned into text."""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path

import pytest

from dkist_task.errors import NotebookError
from dkist_task.notebook import export_notebook_by_path, wait_for_notebook_save


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    """Return a notebook with one cell and its output."""
    output = {"output_type": "stream", "name": "stdout", "text": ["7 frames\n"]}
    cell = {
        "cell_type": "code",
        "id": "a",
        "metadata": {},
        "execution_count": 1,
        "source": ["sum()"],
        "outputs": [output],
    }
    path = tmp_path / "main_1.0.ipynb"
    path.write_text(json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    return path


def test_notebook_is_waited_for(notebook: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The wait ends when what was printed is in the file."""

    def save() -> None:
        time.sleep(0.2)
        notebook.write_text(notebook.read_text().replace("7 frames", "a-sentinel"))

    thread = threading.Thread(target=save)
    thread.start()
    wait_for_notebook_save(notebook, sentinel="a-sentinel", delay_s=0.05)
    thread.join()
    assert "a-sentinel" in notebook.read_text()
    assert capsys.readouterr().out.endswith("a-sentinel\n")


def test_notebook_that_nobody_saves_is_an_error(notebook: Path) -> None:
    """The error is a timeout, and says what to do."""
    with pytest.raises(TimeoutError, match=r"main_1.0.ipynb was not saved within 0.02 s; save it"):
        wait_for_notebook_save(notebook, attempts=2, delay_s=0.01)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of nbconvert's own imports
def test_notebook_becomes_text(notebook: Path) -> None:
    """Code and output are in the text."""
    text = export_notebook_by_path(notebook).decode()
    assert "sum()" in text
    assert "7 frames" in text


def test_missing_extra_is_named(notebook: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without nbconvert the error says what to install."""
    monkeypatch.setitem(sys.modules, "nbconvert", None)
    with pytest.raises(NotebookError, match=r"use 'dkist-task\[notebook\]'"):
        export_notebook_by_path(notebook)
