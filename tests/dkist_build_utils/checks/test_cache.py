"""What was proven before is believed only for exactly the same inputs."""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path

import pytest

from dkist_build_utils import FaultsError, validate_workflows
from dkist_build_utils.checks.cache import Cache, files_digest, stable_environment
from dkist_build_utils.programs import run_program
from tests.dkist_build_utils.conftest import TASKS, Install, instrument

SHARED = "import os\nif 'DKIST_TEST_FAILS' in os.environ: raise ValueError('as asked')\nit = None\n"


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Return a list to which each run of the program that imports tasks is added."""
    found: list[object] = []

    def counted_run(*arguments: object, **options: object) -> object:
        found.append(arguments)
        return run_program(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("dkist_build_utils.checks.import_check.run_program", counted_run)
    return found


def installed(install: Install, tmp_path: Path) -> tuple[str, Path]:
    """Return a package that was installed a while ago, and the file of a module that its tasks import."""
    name = install(instrument(tasks="from {package}.shared import it\n" + TASKS, shared=SHARED))
    before = time.time() - 100
    for file in (tmp_path / "site").rglob("*"):
        os.utime(file, (before, before))
    return name, tmp_path / "site" / name / "shared.py"


def test_second_validation_imports_nothing_again(install: Install, tmp_path: Path, runs: list[object]) -> None:
    """A package without fault is not imported again, until one of its files changes."""
    name, shared = installed(install, tmp_path)
    for _ in range(3):
        validate_workflows(name, airflow=False)
    assert len(runs) == 1
    state = shared.stat()
    shared.write_text(SHARED.replace("None", "Nope"))
    os.utime(shared, ns=(state.st_atime_ns, state.st_mtime_ns))  # the same size and time: its content decides
    shutil.rmtree(shared.parent / "__pycache__", ignore_errors=True)  # Python itself would take it for unchanged
    with pytest.raises(FaultsError, match="NameError: name 'Nope' is not defined"):
        validate_workflows(name, airflow=False)


@pytest.mark.parametrize("change", ["data file", "shadow", "environment", "path"])
def test_whatever_may_matter_is_looked_at(
    install: Install, tmp_path: Path, runs: list[object], monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """A new file in the package, a new module beside it, another variable or another path is another question."""
    name, shared = installed(install, tmp_path)
    validate_workflows(name, airflow=False)
    if change == "data file":
        (shared.parent / "table.yml").write_text("a: 1")
    elif change == "shadow":
        (tmp_path / "site" / "colorsys.py").write_text("")
    elif change == "path":
        monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    else:
        monkeypatch.setenv("DKIST_TEST_FAILS", "1")
        with pytest.raises(FaultsError, match="as asked"):
            validate_workflows(name, airflow=False)
        return
    validate_workflows(name, airflow=False)
    assert len(runs) == 2


def test_fault_is_never_remembered(install: Install, runs: list[object], monkeypatch: pytest.MonkeyPatch) -> None:
    """A package with a fault is imported each time."""
    name = install(instrument(tasks="import airflow\n" + TASKS))
    for _ in range(2):
        with pytest.raises(FaultsError, match="airflow"):
            validate_workflows(name, airflow=False)
    assert len(runs) == 2
    monkeypatch.setenv("DKIST_BUILD_CACHE", "off")


def test_off_remembers_nothing(
    install: Install, tmp_path: Path, runs: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """``DKIST_BUILD_CACHE=off`` proves everything each time."""
    monkeypatch.setenv("DKIST_BUILD_CACHE", "off")
    name, _ = installed(install, tmp_path)
    for _ in range(2):
        validate_workflows(name, airflow=False)
    assert len(runs) == 2


def test_file_that_changes_during_a_check_is_not_believed(tmp_path: Path) -> None:
    """Nobody knows which state of such a file was checked."""
    file = tmp_path / "module.py"
    file.write_text("")
    assert files_digest([str(file)], []) is not None
    assert files_digest([str(file)], [], unchanged_since=file.stat().st_mtime_ns) is None


def test_folder_is_bounded_and_may_be_spoiled(cache: Path) -> None:
    """Only so many answers are kept, the ones asked for last; a broken file is no answer."""
    store = Cache.of_this_user("test")
    for number in range(210):
        store.write(f"{number:03}", number)
    assert len(list((cache / "test").iterdir())) == 200
    assert store.read("209") == 209
    (cache / "test" / "209").write_bytes(b"spoiled")
    assert store.read("209") is None


def test_folder_that_cannot_be_written_does_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a place, nothing is remembered and nothing fails."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DKIST_BUILD_CACHE", str(tmp_path / "file"))
    store = Cache.of_this_user("test")
    store.write("a", 1)
    assert store.read("a") is None


def test_default_folder_is_below_xdg_cache_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder follows the XDG convention."""
    monkeypatch.delenv("DKIST_BUILD_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert Cache.of_this_user("test").folder == tmp_path / "dkist-build" / "test"


def test_variables_of_a_terminal_do_not_count() -> None:
    """What says nothing to a module is left out, and everything else counts."""
    variables = {"PYTEST_CURRENT_TEST": "a", "COLUMNS": "80", "_": "x", "PYTHONPATH": "p", "MESH_CONFIG": "{}"}
    assert stable_environment(variables) == {"PYTHONPATH": "p", "MESH_CONFIG": "{}"}
