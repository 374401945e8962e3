"""Instrument packages that are installed for one test, and an index that has what they need."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from threading import Thread

import pytest

from dkist_build_utils import FaultsError, validate_workflows
from harness.packages import OWN_PROJECTS, Package, build_wheels
from tests.dkist_build_utils.keys import Keys, make_key

_NUMBERS = count()

Install = Callable[[Package], str]
"""What the fixture `install` returns."""

TASKS = """
from dkist_task import TaskBase

class Parse(TaskBase):
    def run(self) -> None: ...

class Calibrate(TaskBase):
    retries = 2
    def run(self) -> None: ...

class Assemble(TaskBase):
    def run(self) -> None: ...
"""

WORKFLOW = """
from dkist_workflow import ResourceQueue, Workflow
from {package}.tasks import Assemble, Calibrate, Parse

main = Workflow("{package}", "main", __package__)
main.add_node(task=Parse)
main.add_node(task=Calibrate, upstreams=Parse, resource_queue=ResourceQueue.HIGH_MEMORY)
main.add_node(task=Assemble, upstreams=[Parse, Calibrate], pip_extras=["quality"])
"""


ONE_LOCK = {"workflows.main": WORKFLOW.replace(', pip_extras=["quality"]', "")}
"""The workflow without extras, for tests of one lock."""


def instrument(version: str = "1.0.0", **modules: str) -> Package:
    """Return a package with three tasks and a workflow; ``{package}`` in the text of a module is its import name."""
    name = f"instrument-{next(_NUMBERS)}"  # what is found out about a package is kept for as long as a process lives
    sources = {"tasks": TASKS, "workflows.main": WORKFLOW, **modules}
    return Package(
        name,
        version=version,
        modules={module: text.replace("{package}", name.replace("-", "_")) for module, text in sources.items()},
        dependencies=["dkist-task"],
        extras={"quality": []},
    )


def faults_of(package: str) -> list[str]:
    """Return the faults of a package as texts, Airflow left aside."""
    with pytest.raises(FaultsError, match="fault") as caught:
        validate_workflows(package, airflow=False)
    return [str(fault) for fault in caught.value.faults]


def contents(folder: Path) -> dict[str, bytes]:
    """Return the bytes of every file of a folder, hidden ones included."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(autouse=True)
def no_build_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workflows have the version ``dev`` unless a test says otherwise, and Airflow is asked where a test asks it."""
    monkeypatch.delenv("BUILD_VERSION", raising=False)


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nothing that was proven before this test is remembered; return the folder of what it remembers itself."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("DKIST_BUILD_CACHE", str(folder))
    return folder


@pytest.fixture(autouse=True)
def no_signers(monkeypatch: pytest.MonkeyPatch) -> None:
    """No signature is required unless a test says so."""
    monkeypatch.delenv("DKIST_REQUIRED_SIGNERS", raising=False)
    monkeypatch.delenv("DKIST_REVOKED_KEYS", raising=False)


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    """Return a key that may sign releases."""
    return make_key(tmp_path / "release_key")


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Install packages for one test; each call returns the package's import name."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(site)
    before = set(sys.modules)

    def install_package(package: Package) -> str:
        with zipfile.ZipFile(package.write_wheel(tmp_path / "unpacked")) as wheel:
            wheel.extractall(site)
        return package.import_name

    yield install_package
    for module in set(sys.modules) - before:
        if module.startswith("instrument_"):
            del sys.modules[module]


@pytest.fixture(scope="session")
def task_wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the wheel of the real dkist-task."""
    folder = tmp_path_factory.mktemp("task-wheels")
    build_wheels(folder, OWN_PROJECTS[:1])
    return folder


@pytest.fixture
def wheels(tmp_path: Path, task_wheels: Path) -> Path:
    """Return a folder with the wheel of dkist-task, to which a test adds that of its instrument."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    for wheel in task_wheels.glob("*.whl"):
        (folder / wheel.name).write_bytes(wheel.read_bytes())
    return folder


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have uv know no index but a folder, and return it.

    It has a dkist-task without requirements: for tests of what is done with a lock rather than of how it is made.
    """
    folder = tmp_path / "offline"
    base = "class TaskBase: ..."
    Package("dkist-task", "0.1.0", modules={"__init__": base}, extras={"otlp": []}).write_wheel(folder)
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Serve a package index on this machine and have uv use it beside the usual one; return its folder.

    A wheel is published by copying it to ``<folder>/<distribution>/``.
    """
    folder = tmp_path / "index"
    folder.mkdir()
    handler = partial(_QuietHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("UV_INDEX", f"http://127.0.0.1:{server.server_port}/")
        yield folder
        server.shutdown()
        thread.join()


class _QuietHandler(SimpleHTTPRequestHandler):
    """A file server: its listing of a folder is a page of the simple repository API (PEP 503)."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""
