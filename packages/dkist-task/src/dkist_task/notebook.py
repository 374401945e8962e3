"""The notebook that a task runs in: wait until it is saved, and turn it into text.

For people who run the tasks of a workflow in a notebook. Nothing else imports this module.
"""

from __future__ import annotations

import sys
import time
from importlib import import_module
from pathlib import Path
from uuid import uuid4

from dkist_task.errors import NotebookError, NotebookNotSavedError


def wait_for_notebook_save(
    notebook_path: Path, sentinel: str | None = None, attempts: int = 120, delay_s: float = 1
) -> None:
    """Print a text and wait until the saved notebook holds it: then it holds all output up to here.

    Parameters
    ----------
    notebook_path : Path
        The file of the notebook that this runs in.
    sentinel : str, optional
        The text; one that occurs nowhere else if not given.
    attempts : int, optional
        How often to look.
    delay_s : float, optional
        Seconds between two looks.

    Raises
    ------
    NotebookNotSavedError
        The text is not in the file after the last attempt. It is a `TimeoutError`.
    OSError
        The file cannot be read.
    """
    text = sentinel or uuid4().hex
    sys.stdout.write(f"waiting until the notebook is saved: {text}\n")
    sys.stdout.flush()
    for _ in range(attempts):
        if text in Path(notebook_path).read_text(encoding="utf-8", errors="replace"):
            return
        time.sleep(delay_s)
    raise NotebookNotSavedError(Path(notebook_path), attempts * delay_s)


def export_notebook_by_path(notebook_path: Path) -> bytes:
    """Return a notebook with its output as Markdown in UTF-8; images in the output are left out.

    Parameters
    ----------
    notebook_path : Path
        The file of the notebook.

    Raises
    ------
    NotebookError
        The extra ``notebook`` of dkist-task is not installed.
    OSError
        The file cannot be read.
    """
    try:
        exporter = import_module("nbconvert").MarkdownExporter()
    except ModuleNotFoundError as error:
        raise NotebookError("nbconvert, which reads notebooks, is not installed; use 'dkist-task[notebook]'") from error
    text, _ = exporter.from_filename(str(notebook_path))
    return str(text).encode()
