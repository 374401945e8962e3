"""A program of ours that runs in an interpreter of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dkist_build_utils.programs import run_program

SHOW = """
import json, os, sys
is_beside = os.path.dirname(__file__) in sys.path
print(json.dumps([sys.argv[1:], os.getcwd(), os.environ.get("MARK"), sys.stdin.read(), is_beside]))
sys.exit(3)
"""


def test_program_sees_its_arguments_folder_and_environment_only(tmp_path: Path) -> None:
    """No input, no module from beside the program, and the exit status is handed back."""
    program = tmp_path / "beside" / "show.py"
    program.parent.mkdir()
    program.write_text(SHOW)
    done = run_program(sys.executable, program, ["a", tmp_path], folder=tmp_path, environment={"MARK": "x"}, timeout=60)
    assert done.stdout == f'[["a", "{tmp_path}"], "{tmp_path}", "x", "", false]\n'
    assert done.returncode == 3


def test_program_that_takes_too_long_is_killed(tmp_path: Path) -> None:
    """A build does not wait for ever for a module that does not end."""
    program = tmp_path / "sleep.py"
    program.write_text("import time; time.sleep(60)")
    with pytest.raises(subprocess.TimeoutExpired, match="timed out after"):
        run_program(sys.executable, program, [], folder=tmp_path, environment=None, timeout=0.5)
