"""The folder of messages that wait."""

from __future__ import annotations

import fcntl
import os
import pwd
import random
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dkist_airflow_node.errors import SpoolError
from dkist_airflow_node.messages import spool as spool_module
from dkist_airflow_node.messages.message import FailureMessage
from dkist_airflow_node.messages.spool import MAXIMUM_MESSAGES, Spool, spool_folder
from dkist_airflow_node.messages.spool_file import UNREADABLE
from tests.dkist_airflow_node.messages.test_message import make_message

TAKE_ALL = """
import sys
from pathlib import Path
from dkist_airflow_node.messages.spool import Spool
print("ready", flush=True)
sys.stdin.readline()
for claim in Spool(Path(sys.argv[1])).claims():
    print(claim.path.name, flush=True)
    claim.remove()
"""

HOLD_ONE = """
import sys, time
from pathlib import Path
from dkist_airflow_node.messages.spool import Spool
for claim in Spool(Path(sys.argv[1])).claims():
    print(claim.path.name, flush=True)
    time.sleep(60)
"""

ADD_FOR_EVER = """
import sys
from pathlib import Path
from dkist_airflow_node.messages.spool import Spool
from tests.dkist_airflow_node.messages.test_message import make_message
spool = Spool(Path(sys.argv[1]))
for number in range(10**6):
    spool.add(make_message(str(number)).to_json())
    print(number, flush=True)
"""


def start(program: str, spool: Path) -> subprocess.Popen[str]:
    """Start a Python program about a spool."""
    return subprocess.Popen(
        [sys.executable, "-c", program, str(spool)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def names(spool: Spool) -> list[str | None]:
    """Return the names of the tasks whose messages wait, in their order."""
    return [FailureMessage.from_json(claim.body).task_name for claim in spool.claims()]


def test_kept_in_order_and_private(tmp_path: Path) -> None:
    """Messages come out in the order in which they were added; nobody else may read them."""
    spool = Spool(tmp_path / "new" / "spool")
    for number in range(20):
        spool.add(make_message(str(number)).to_json())
    assert names(spool) == [str(number) for number in range(20)]
    assert stat.S_IMODE(spool.folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in spool.folder.iterdir()} == {0o600}


@pytest.mark.parametrize("mode", [0o755, 0o740, 0o720, 0o710, 0o704, 0o702, 0o701])
def test_a_folder_that_others_may_use_is_closed(tmp_path: Path, mode: int) -> None:
    """A folder made by an administrator with the usual mode, or any other that is too open, becomes private."""
    tmp_path.chmod(mode)
    Spool(tmp_path).add(make_message().to_json())
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


def test_a_private_folder_keeps_its_mode(tmp_path: Path) -> None:
    """What else an administrator has set on a folder that nobody else may use, here the setgid bit, stays."""
    tmp_path.chmod(0o2700)
    Spool(tmp_path).add(make_message().to_json())
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o2700


def test_undecided_messages_wait_in_a_folder_of_their_own(tmp_path: Path) -> None:
    """Nobody sends them from the spool, and as many may wait there as in the spool."""
    spool = Spool(tmp_path, maximum_messages=1)
    path = spool.undecided.add(make_message("1").to_json())
    assert path.parent == tmp_path / "undecided"
    assert names(spool) == []
    assert names(spool.undecided) == ["1"]
    with pytest.raises(SpoolError, match="is full: 1 messages wait there"):
        spool.undecided.add(make_message("2").to_json())


def test_full(tmp_path: Path) -> None:
    """The spool is bounded, keeps what it has, and says so."""
    spool = Spool(tmp_path, maximum_messages=2)
    spool.add(make_message("1").to_json())
    spool.add(make_message("2").to_json())
    with pytest.raises(SpoolError, match="is full: 2 messages wait there"):
        spool.add(make_message("3").to_json())
    with pytest.raises(SpoolError, match="is full: 1 messages wait there"):
        Spool(tmp_path, maximum_messages=1).add(make_message("4").to_json())
    assert names(spool) == ["1", "2"]
    assert MAXIMUM_MESSAGES == 10_000  # as documented


@pytest.mark.parametrize("other", [1, -1])
def test_a_folder_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: int) -> None:
    """Somebody else could read the messages there, or make them up."""
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + other)
    with pytest.raises(SpoolError, match=r"belongs to user \d+, not to this user .*DKIST_MESSAGE_SPOOL"):
        Spool(tmp_path).add(make_message().to_json())
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fails_leaves_no_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A message that cannot be written leaves no file behind."""

    def fail(_descriptor: int, _body: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(spool_module, "write", fail)
    with pytest.raises(SpoolError, match=r"cannot be written: .*No space left on device"):
        Spool(tmp_path).add(make_message().to_json())
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_synced_is_named_and_its_message_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is complete by then: the error says what failed, and the message is neither lost nor held."""

    def fail(_folder: Path) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(spool_module, "sync_folder", fail)
    with pytest.raises(SpoolError, match=r"cannot be written: .*Input/output error"):
        Spool(tmp_path).add(make_message("1").to_json())
    assert names(Spool(tmp_path)) == ["1"]


def test_a_folder_that_is_missing_holds_nothing_and_one_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """Before the first failure there is no folder; something else in its place is a wrong setting."""
    assert names(Spool(tmp_path / "none")) == []
    assert not (tmp_path / "none").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(SpoolError, match=r"file cannot be read: Not a directory; name another folder in DKIST_MESS"):
        Spool(tmp_path / "file").paths()


def test_what_another_process_holds_is_passed_over(tmp_path: Path) -> None:
    """A message, or an unfinished file, that another process has locked does not stop those behind it."""
    spool = Spool(tmp_path)
    first = spool.add(make_message("1").to_json())
    spool.add(make_message("2").to_json())
    (tmp_path / "0.part").write_bytes(make_message("held").to_json())
    (tmp_path / "1.part").write_bytes(make_message("whole").to_json())
    with (tmp_path / "0.part").open("rb") as part, first.open("rb") as message:
        fcntl.flock(part, fcntl.LOCK_EX)
        fcntl.flock(message, fcntl.LOCK_EX)
        assert sorted(filter(None, names(spool))) == ["2", "whole"]
    assert sorted(filter(None, names(spool))) == ["1", "2", "held", "whole"]


def test_a_published_message_may_be_gone_already(tmp_path: Path) -> None:
    """Somebody may delete a file by hand; a file that cannot be deleted is named, as it will be sent again."""
    spool = Spool(tmp_path)
    spool.add(make_message().to_json())
    (claim,) = spool.claims()
    claim.path.unlink()
    claim.remove()
    claim.path.mkdir()
    with pytest.raises(SpoolError, match="is published, but cannot be deleted"):
        claim.remove()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """A file in the way is named."""
    (tmp_path / "file").write_text("")
    with pytest.raises(SpoolError, match=r"the spool .*file/spool cannot be written"):
        Spool(tmp_path / "file" / "spool").add(make_message().to_json())


def test_unreadable_files_are_set_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What is not a message blocks nothing, is named in the log, and is kept for a person to look at."""
    spool = Spool(tmp_path)
    spool.add(make_message("1").to_json())
    (tmp_path / "saved-by-hand.json").write_bytes(make_message("2").to_json())
    (tmp_path / "0-corrupt.json").write_bytes(b'{"workflowName"')
    (tmp_path / "00-empty.json").write_bytes(b"")
    (tmp_path / "1-folder.json").mkdir()
    (tmp_path / "2-link.json").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "3-pipe.json")
    assert names(spool) == ["1", "2"]
    aside = {"0-corrupt.json", "00-empty.json", "1-folder.json", "2-link.json", "3-pipe.json"}
    assert {path.name for path in spool.paths_aside()} == aside
    assert len(caplog.records) == len(aside)
    assert all(f"{tmp_path / name} was moved to {tmp_path / UNREADABLE}" in caplog.text for name in aside)
    assert [path.name for path in spool.paths()][-1] == "saved-by-hand.json"
    assert (tmp_path / UNREADABLE / "0-corrupt.json").read_bytes() == b'{"workflowName"'


def test_two_that_send_at_once_send_each_once(tmp_path: Path) -> None:
    """Four processes empty one spool; each message is had by one of them."""
    spool = Spool(tmp_path)
    added = {spool.add(make_message(str(number)).to_json()).name for number in range(200)}
    takers = [start(TAKE_ALL, tmp_path) for _ in range(4)]
    for taker in takers:
        assert taker.stdout is not None
        assert taker.stdout.readline() == "ready\n"
    taken = [line for taker in takers for line in taker.communicate("go\n", timeout=60)[0].split()]
    assert len(taken) == len(added)
    assert set(taken) == added


def test_the_claim_of_a_killed_process_ends(tmp_path: Path) -> None:
    """What a process was sending when it was killed, the next one sends."""
    spool = Spool(tmp_path)
    spool.add(make_message("1").to_json())
    holder = start(HOLD_ONE, tmp_path)
    assert holder.stdout is not None
    holder.stdout.readline()
    assert names(spool) == []
    holder.kill()
    holder.communicate()
    assert names(spool) == ["1"]


def test_a_kill_at_any_moment_loses_nothing(tmp_path: Path) -> None:
    """Whatever `add` returned from is there after SIGKILL, and everything that is there is whole."""
    random.seed(5)
    spool = Spool(tmp_path)
    added = 0
    for _ in range(8):
        writer = start(ADD_FOR_EVER, tmp_path)
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(random.uniform(0, 0.1))
        writer.send_signal(signal.SIGKILL)
        added += 1 + len(writer.communicate()[0].split())
    assert len(names(spool)) >= added
    assert spool.paths_aside() == []


def test_what_was_written_and_not_yet_renamed_is_taken_in(tmp_path: Path) -> None:
    """A whole message under its temporary name is sent; a part of one is set aside when its writer must be dead."""
    spool = Spool(tmp_path)
    spool.add(make_message("1").to_json())
    (tmp_path / "00-whole.part").write_bytes(make_message("0").to_json())
    (tmp_path / "01-part.part").write_bytes(make_message("0").to_json()[:50])
    (tmp_path / "02-new.part").write_bytes(b"")
    os.utime(tmp_path / "02-new.part", (time.time() + 60,) * 2)  # new for as long as this takes on a busy machine
    (tmp_path / "03-nothing.part").write_bytes(b"")
    (tmp_path / "04-dead.part").write_bytes(b"{")
    os.utime(tmp_path / "04-dead.part", (time.time() - 1.2,) * 2)
    for name in ("01-part.part", "03-nothing.part"):
        os.utime(tmp_path / name, (1, 1))
    assert names(spool) == ["0", "1"]
    assert [path.name for path in spool.paths_aside()] == ["01-part.part", "04-dead.part"]
    assert (tmp_path / "02-new.part").exists()
    assert not (tmp_path / "03-nothing.part").exists()


def test_a_user_without_a_home_folder_is_asked_for_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container may run as a number that has no entry in the list of users."""

    def unknown(number: int) -> pwd.struct_passwd:
        raise KeyError(number)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    with pytest.raises(SpoolError, match="no home folder; name a folder in DKIST_MESSAGE_SPOOL"):
        spool_folder({})


def test_where_it_is() -> None:
    """The folder is the one that is named, or one for this user's state."""
    assert spool_folder({"DKIST_MESSAGE_SPOOL": "/a", "HOME": "/h"}) == Path("/a")
    assert spool_folder({"XDG_STATE_HOME": "/s", "HOME": "/h"}) == Path("/s/dkist/messages")
    assert spool_folder({"XDG_STATE_HOME": "s", "HOME": "/h"}) == Path("/h/.local/state/dkist/messages")
    assert spool_folder({}).is_absolute()
    with pytest.raises(SpoolError, match="must be an absolute path, not 'a'"):
        spool_folder({"DKIST_MESSAGE_SPOOL": "a"})
