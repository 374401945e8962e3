"""One workflow twice in one Airflow: as the predecessor exports it, and as this project does after the migration.

It begins as the source of a client of dkist-processing-core. Version 1.0.0 is exported by the core; the same source,
rewritten by ``dkist-build migrate``, is version 2.0.0.
"""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Self

from harness.celery_site import run
from harness.packages import Package, build_wheels

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType

CORE = "dkist-processing-core==7.5.0"
DISTRIBUTION = "dkist-processing-pair"
WORKFLOW = "raw_to_done_pair"
OLD, NEW = "1.0.0", "2.0.0"

_TASKS = """
    from dkist_processing_core import TaskBase


    class Reduce(TaskBase):
        def run(self):
            print("reduced")


    class Fail(TaskBase):
        def run(self):
            raise ValueError("no flats")
"""

_WORKFLOWS = """
    from dkist_processing_core import ResourceQueue
    from dkist_processing_core import Workflow

    from dkist_processing_pair.tasks import Fail
    from dkist_processing_pair.tasks import Reduce

    pair = Workflow(input_data="raw", output_data="done", category="pair", workflow_package=__package__)
    pair.add_node(task=Reduce, resource_queue=ResourceQueue.HIGH_MEMORY, upstreams=None)
    pair.add_node(task=Fail, upstreams=Reduce)
"""

_EXPORT = """
import sys
from dkist_processing_pair.workflows.pair import pair
pair.export_dag(sys.argv[1])
"""


def client_source(folder: Path) -> Path:
    """Write the client of the predecessor below a folder, and return its own."""
    package = Package(
        DISTRIBUTION,
        version=OLD,
        modules={"tasks": _TASKS, "workflows.pair": _WORKFLOWS},
        dependencies=[CORE],
        extras={"frozen": []},
        requires_python=">=3.13",
    )
    return package.write_source(folder)


def export_old(source: Path, python: Path, dags: Path, env: Mapping[str, str]) -> None:
    """Export the workflow with the predecessor, into the dags folder itself, as it asks for."""
    environ = {**env, "PYTHONPATH": str(source / "src"), "BUILD_VERSION": OLD}
    run([str(python), "-c", _EXPORT, str(dags)], env=environ)


def migrate(source: Path) -> None:
    """Rewrite the client, and make it the next version."""
    run([sys.executable, "-m", "dkist_build_utils", "migrate", "--allow-dirty", str(source)])
    project = source / "pyproject.toml"
    project.write_text(project.read_text().replace(f'version = "{OLD}"', f'version = "{NEW}"'))


def build_wheel(source: Path, wheels: Path) -> Path:
    """Build the client's wheel as it is now, and return its path."""
    (wheel,) = build_wheels(wheels, [source])
    return wheel


class Chat:
    """A chat that keeps what is posted to it. Use it as a context manager: it listens inside."""

    def __init__(self) -> None:
        self.posted: list[str] = []
        """The posted texts."""
        chat = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                chat.posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["text"])
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        """Where to post."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/"

    def __enter__(self) -> Self:
        """Start to listen."""
        Thread(target=self._server.serve_forever, name="chat", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()
