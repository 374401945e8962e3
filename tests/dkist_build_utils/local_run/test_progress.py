"""What a terminal shows: a live line for each running task, and no more of it than fits."""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time

import pytest

from dkist_build_utils.local_run.progress import printable
from tests.dkist_build_utils.local_run.local import Local

WAIT = """
class Left(Tallied):
    def work(self):
        print("\\x1b[31mframe 1 of 9\\x07", flush=True)
        while not os.path.exists("go"): time.sleep(0.05)
class Right(Tallied):
    def work(self):
        print("reading " + "\\u6f22" * 200, end="", flush=True)
        while not os.path.exists("go"): time.sleep(0.05)
"""


class Terminal:
    """A terminal of 80 columns and 24 rows in which the command runs."""

    def __init__(self, local: Local, *options: str) -> None:
        self.text = ""
        self._decode = codecs.getincrementaldecoder("utf-8")().decode  # a read may end within a character
        self._main, child = pty.openpty()
        fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.process = subprocess.Popen(
            # A terminal that controls the command: its Ctrl-C is a signal to the whole foreground group.
            ["setsid", "--ctty", *local.command(*options)],
            env=local.environ | {"TERM": "xterm"},
            cwd=local.folder,
            stdin=child,
            stdout=child,
            stderr=child,
        )
        os.close(child)

    def read(self, seconds: float) -> bool:
        """Take what comes within some seconds; return whether the terminal is still in use."""
        if not select.select([self._main], [], [], seconds)[0]:
            return True
        try:
            block = os.read(self._main, 65536)
        except OSError:  # how Linux ends a terminal that nobody uses
            return False
        self.text += self._decode(block)
        return bool(block)

    def read_until(self, pattern: str, seconds: float = 60) -> None:
        """Take what comes until it matches."""
        deadline = time.monotonic() + seconds
        while not re.search(pattern, self.text):
            assert time.monotonic() < deadline, self.text
            assert self.read(0.1), self.text

    def type(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._main, keys)

    def end(self) -> int:
        """Take the rest and return the exit status."""
        while self.read(20):
            if self.process.poll() is not None and not select.select([self._main], [], [], 0.2)[0]:
                break
        os.close(self._main)
        return self.process.wait(60)


def test_text_of_several_lines_is_one_line() -> None:
    """Ends of lines become spaces, and what would move the cursor becomes visible."""
    assert printable("no frames\nin gain\r\n\x1b[31m") == "no frames in gain \ufffd[31m"


def test_running_tasks_have_a_live_line(local: Local) -> None:
    """Each running task shows its seconds and its last log line, with nothing in it that moves the cursor."""
    local.write(WAIT)
    terminal = Terminal(local, "--jobs", "2")
    terminal.read_until(r"Left +\d+\.\d s .*frame 1 of 9")
    terminal.read_until(r"Right +\d+\.\d s  reading \u6f22+")
    terminal.read_until(r"1 of 4 ended, 2 running")
    seconds = len(terminal.text)
    terminal.read_until(r"Left +[1-9]\d*\.\d s ")
    (local.folder / "go").touch()
    assert terminal.end() == 0
    assert len(terminal.text) > seconds
    assert "\x1b[31m" not in terminal.text
    assert "\x07" not in terminal.text
    final = terminal.text.rpartition("\x1b[J")[2]
    assert [line.split()[:2] for line in final.splitlines()[1:5]] == [
        [name, "success"] for name in ("Parse", "Left", "Right", "Join")
    ]


@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c_at_a_terminal(local: Local, presses: int) -> None:
    """Ctrl-C stops in order; pressed twice it kills a task that does not want to end."""
    local.write(
        "class Left(Tallied):\n    def work(self):\n        try: tally('working'); time.sleep(60)\n"
        "        finally: tally('cleaning up'); time.sleep(60 if os.path.exists('stubborn') else 0)\n"
    )
    if presses == 2:
        (local.folder / "stubborn").touch()
    terminal = Terminal(local)
    terminal.read_until("Right: success")
    local.wait_for("working")
    terminal.type(b"\x03")
    terminal.read_until("SIGINT: stopping; what is done is kept; once more kills")
    local.wait_for("cleaning up")
    if presses == 2:
        terminal.type(b"\x03")
        terminal.read_until("killing")
    assert terminal.end() == 1
    assert "Left   cancellation" in terminal.text
    assert local.processes() == []


def test_more_tasks_than_rows(local: Local) -> None:
    """Of more running tasks than the terminal has rows only some are drawn."""
    names = [f"Task{number}" for number in range(30)]
    classes = "\n".join(
        f"class {name}(Tallied):\n    def work(self):\n        while not os.path.exists('go'): time.sleep(0.2)"
        for name in names
    )
    nodes = "\n".join(f"main.add_node({name})" for name in names)
    flow = (
        "from dkist_workflow import Workflow\nfrom small.tasks import *\n"
        f"main = Workflow('small', 'main', __package__, '1.0.0')\n{nodes}\n"
    )
    local.write(classes, flow=flow)
    terminal = Terminal(local, "--jobs", "30")
    terminal.read_until(r"and 10 more\r\n.*0 of 30 ended, 30 running", seconds=120)
    (local.folder / "go").touch()
    assert terminal.end() == 0
