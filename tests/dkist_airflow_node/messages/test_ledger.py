"""The confirmed keys beside the spool."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from dkist_airflow_node.errors import NotAcceptedError
from dkist_airflow_node.messages import BusSettings, Spool, outbox, publish_waiting
from dkist_airflow_node.messages.bus import BusConnection
from dkist_airflow_node.messages.ledger import KEEP_DAYS, Ledger
from tests.dkist_airflow_node.messages.test_message import make_message

ADD = """
import sys
from pathlib import Path
from dkist_airflow_node.messages.ledger import Ledger
ledger = Ledger(Path(sys.argv[1]))
for number in range(int(sys.argv[3])):
    ledger.add(f"{sys.argv[2]}-{number}")
    print(number, flush=True)
"""

FILL_DISK = """
import resource, sys
from pathlib import Path
from dkist_airflow_node.messages.ledger import Ledger
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
ledger = Ledger(Path(sys.argv[1]))
ledger.add("before")
size = next(ledger.folder.iterdir()).stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 7, resource.RLIM_INFINITY))
ledger.add("cut")
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
ledger.add("after")
"""

DAY = 24 * 3600


def start(program: str, *arguments: object) -> subprocess.Popen[str]:
    """Start a Python program about a ledger."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_what_was_confirmed_last(tmp_path: Path) -> None:
    """Each key has the time of its last confirmation; a message without a key leaves no line."""
    ledger, key = Ledger(tmp_path), str(uuid.uuid4())
    assert ledger.confirmed() == {}
    now = time.time()
    ledger.add(key, now=now - DAY)
    ledger.add(key, now=now)
    ledger.add(None)
    ledger.add("two\nlines")
    assert set(ledger.confirmed()) == {key}
    assert ledger.confirmed()[key] == int(now)


def test_files_belong_to_this_user_alone(tmp_path: Path) -> None:
    """Nobody else reads which runs have failed."""
    Ledger(tmp_path).add("k")
    (path,) = (tmp_path / "confirmed").iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_old_days_are_forgotten(tmp_path: Path) -> None:
    """The first confirmation of a day removes what is older than the limit; other files stay."""
    ledger, now = Ledger(tmp_path), time.time()
    ledger.add("old", now=now - (KEEP_DAYS + 2) * DAY)
    ledger.add("young", now=now - (KEEP_DAYS - 2) * DAY)
    (ledger.folder / "notes.txt").write_text("mine")
    assert set(ledger.confirmed()) == {"old", "young"}
    ledger.add("new", now=now)
    assert set(ledger.confirmed()) == {"young", "new"}
    assert (ledger.folder / "notes.txt").exists()


def test_two_processes_at_once(tmp_path: Path) -> None:
    """No line of one cuts a line of the other."""
    processes = [start(ADD, tmp_path, name, 500) for name in ("one", "two", "three")]
    for process in processes:
        assert process.communicate(timeout=60)[1] == ""
    expected = {f"{name}-{number}" for name in ("one", "two", "three") for number in range(500)}
    assert set(Ledger(tmp_path).confirmed()) == expected


def test_a_process_that_is_killed(tmp_path: Path) -> None:
    """What it has recorded stays, and nothing else of it."""
    with start(ADD, tmp_path, "key", 10**9) as process:
        assert process.stdout is not None
        while int(process.stdout.readline()) < 50:
            pass
        process.send_signal(signal.SIGKILL)
        said = 51 + process.stdout.read().count("\n")
    found = set(Ledger(tmp_path).confirmed())
    assert {f"key-{number}" for number in range(said)} <= found <= {f"key-{number}" for number in range(said + 1)}


def test_a_full_disk(tmp_path: Path) -> None:
    """A line that was cut is lost and logged; those before and after it are not."""
    process = start(FILL_DISK, tmp_path)
    _, log = process.communicate(timeout=60)
    assert process.returncode == 0, log
    assert set(Ledger(tmp_path).confirmed()) == {"before", "after"}
    assert "The confirmed key cut is not recorded" in log


def test_what_is_not_a_file_hangs_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A pipe, a folder or a link in place of a day's file is logged and passed over."""
    ledger = Ledger(tmp_path)
    ledger.folder.mkdir()
    os.mkfifo(ledger.folder / f"{time.strftime('%Y-%m-%d', time.gmtime())}.keys")
    (ledger.folder / "2026-01-01.keys").mkdir()
    (ledger.folder / "2026-01-02.keys").symlink_to("/dev/zero")
    ledger.add("k")
    assert "The confirmed key k is not recorded" in caplog.text
    assert ledger.confirmed() == {}


def test_garbage_is_passed_over(tmp_path: Path) -> None:
    """Lines that are none, also after a crash of the host, hide no others."""
    ledger = Ledger(tmp_path)
    ledger.add("before")
    (path,) = ledger.folder.iterdir()
    with path.open("ab") as file:
        file.write(b"\0\0\0\xff 17\n99 short\n12345678901 long\n")
    ledger.add("after")
    assert set(ledger.confirmed()) == {"before", "after"}


class FriendlyBus(BusConnection):
    """Confirms every message, but for those of a task that it refuses."""

    is_open = True

    def publish(self, body: bytes) -> None:
        """Confirm, or refuse."""
        if b"Refused" in body:
            raise NotAcceptedError("broker", "too long", is_fault_of_message=True)


def test_what_the_broker_confirms_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also a message that could not be spooled; not one that the broker refuses, nor one without a key."""
    monkeypatch.setattr(outbox, "BusConnection", FriendlyBus)
    spool = Spool(tmp_path)
    bodies = {
        name: replace(make_message(name), idempotency_key=None if name == "Keyless" else f"key-of-{name}").to_json()
        for name in ("Spooled", "Refused", "Keyless", "Unspooled")
    }
    unspooled = bodies.pop("Unspooled")
    for body in bodies.values():
        spool.add(body)
    settings = BusSettings(host="h", port=1, username="u", password="p")
    delivery = publish_waiting(settings, spool, seconds=30, unspooled=[unspooled])
    assert delivery.fault is None
    assert delivery.published == 3
    assert set(Ledger(tmp_path).confirmed()) == {"key-of-Spooled", "key-of-Unspooled"}


def test_a_ledger_that_cannot_be_written_loses_no_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The message is published, so it is deleted; the log has its key."""
    monkeypatch.setattr(outbox, "BusConnection", FriendlyBus)
    spool = Spool(tmp_path)
    spool.add(replace(make_message(), idempotency_key="k").to_json())
    (tmp_path / "confirmed").touch()
    settings = BusSettings(host="h", port=1, username="u", password="p")
    assert publish_waiting(settings, spool, seconds=30).published == 1
    assert spool.paths() == []
    assert "The confirmed key k is not recorded" in caplog.text
