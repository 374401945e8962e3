"""What `environments prune` asks and refuses; what it removes is tested with the store."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from dkist_airflow_node.commands import main


@pytest.fixture(autouse=True)
def leftover(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return what an interrupted build has left in the store."""
    monkeypatch.setenv("DKIST_ENVIRONMENT_STORE", str(tmp_path))
    folder = tmp_path / f"{1:032x}-py3.11-x86_64"
    folder.mkdir()
    folder.with_name(f"{folder.name}.lock").touch()
    return folder


class Terminal(io.StringIO):
    """A terminal with a person who types."""

    def isatty(self) -> bool:
        """Return that it is one."""
        return True


@pytest.mark.parametrize(("answer", "status"), [("y\n", 0), ("n\n", 1), ("", 1)])
def test_prune_asks_on_a_terminal(
    answer: str, status: int, leftover: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It first says what it will remove; only a yes removes anything."""
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    assert main(["environments", "prune"]) == status
    captured = capsys.readouterr()
    said = captured.out + captured.err
    assert f"will remove {leftover.name} (" in said
    assert "Remove 1 environment, " in said
    assert leftover.exists() == (status == 1)


@pytest.mark.parametrize(("options", "is_kept"), [(["--yes"], False), (["--dry-run"], True)])
def test_prune_asks_nothing_where_the_answer_is_known(
    options: list[str], *, is_kept: bool, leftover: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``--yes`` is the answer, and ``--dry-run`` removes nothing."""
    monkeypatch.setattr(sys, "stdin", Terminal(""))
    assert main(["environments", "prune", *options]) == 0
    assert leftover.exists() == is_kept


def test_prune_asks_nothing_without_a_terminal(leftover: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A timer cannot answer."""
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert main(["environments", "prune"]) == 0
    assert not leftover.exists()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--keep-days", "-1"], "'-1' is not a number of days, such as 60"),
        (["--keep-days", "nan"], "is not a number of days"),
        (["--keep-days", "ten"], "is not a number of days"),
        (["--max-size", "20 apples"], "'20 apples' is not a size"),
        (["--max-size", "20"], "'20' has no unit; write a number and a unit, such as 500MB, 20GB or 20GiB"),
    ],
)
def test_wrong_limits_are_wrong_usage(
    arguments: list[str], complaint: str, leftover: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wrong usage exits with status 2 and removes nothing."""
    assert main(["environments", "prune", *arguments]) == 2
    assert complaint in capsys.readouterr().err
    assert leftover.exists()
