"""A worker host for tests: wheels made here, a local index of them, a store, and the variables of a task."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import threading
import time
import zipfile
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


def make_wheel(
    folder: Path, name: str, version: str, files: Mapping[str, str], *, requires: tuple[str, ...] = ()
) -> Path:
    """Write a pure Python wheel."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{name.replace('-', '_')}-{version}"
    metadata = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nProvides-Extra: otlp\n"]
    metadata += [f"Requires-Dist: {requirement}\n" for requirement in requires]
    content = {
        **files,
        f"{stem}.dist-info/METADATA": "".join(metadata),
        f"{stem}.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in (*content, f"{stem}.dist-info/RECORD"))
    path = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file_name, text in {**content, f"{stem}.dist-info/RECORD": record}.items():
            archive.writestr(file_name, text)
    return path


def wait_for(condition: Callable[[], object], what: str, *, seconds: float = 60) -> None:
    """Wait until a condition holds, or fail saying what was waited for."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what} did not happen within {seconds} s"
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    """Return whether a process lives: one that only waits to be collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@dataclass(frozen=True)
class Worker:
    """A host on which the tasks of one release run."""

    folder: Path
    """Everything of it."""

    @property
    def wheels(self) -> Path:
        """The folder that serves as its package index."""
        return self.folder / "wheels"

    @property
    def store(self) -> Path:
        """The environment store."""
        return self.folder / "store"

    @property
    def lock(self) -> Path:
        """The lock of the release."""
        return self.folder / "release" / "requirements.txt"

    @property
    def work(self) -> Path:
        """The working folder of its tasks."""
        return self.folder / "work"

    def make_lock(self, requirements: str) -> None:
        """Lock requirements against the wheels."""
        self.lock.parent.mkdir(exist_ok=True)
        source = self.folder / "requirements.in"
        source.write_text(requirements, encoding="utf-8")
        command = ["uv", "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--generate-hashes"]
        command += ["--no-index", "--find-links", str(self.wheels), "--python-version", PYTHON]
        command += [str(source), "--output-file", str(self.lock)]
        subprocess.run(
            command, check=True, capture_output=True, env={**os.environ, "UV_CACHE_DIR": str(self.folder / "c")}
        )

    def tools(self, *without: str, **instead: str) -> Path:
        """Return a folder for PATH: the programs of a plain worker, some left out, some scripts of the test's own."""
        folder = self.folder / "tools"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        names = {"bash", "cp", "env", "flock", "grep", "mkdir", "mv", "rm", "setpriv", "sha256sum", "sleep"}
        for name in (names | {"stat", "timeout", "true", "uv"}) - {*without, *instead}:
            (folder / name).symlink_to(str(shutil.which(name)))
        for name, script in instead.items():
            (folder / name).write_text(script, encoding="utf-8")
            (folder / name).chmod(0o755)
        return folder

    def variables(self, task: str = "instrument:run", /, **changes: str | None) -> dict[str, str]:
        """Return what the operator gives the runner for a task; None takes a variable away."""
        path = [Path(str(shutil.which("uv"))).parent, sysconfig.get_config_var("BINDIR"), "/usr/bin", "/bin"]
        variables: dict[str, str | None] = {
            "PATH": ":".join(map(str, path)),
            "HOME": str(self.folder / "home"),
            "LANG": "C.UTF-8",
            "UV_FIND_LINKS": str(self.wheels),
            "UV_OFFLINE": "1",
            "UV_CACHE_DIR": str(self.folder / "cache"),
            "DKIST_ENVIRONMENT_STORE": str(self.store),
            "DKIST_LOCK": str(self.lock),
            "DKIST_LOCK_SHA256": hashlib.sha256(self.lock.read_bytes()).hexdigest(),
            "DKIST_PYTHON": PYTHON,
            "DKIST_TASK": task,
            "DKIST_WORKFLOW_NAME": "instrument_l0_to_l1",
            "DKIST_WORKFLOW_VERSION": "1.0.0",
            "DKIST_RECIPE_RUN_ID": "7",
            **changes,
        }
        return {name: value for name, value in variables.items() if value is not None}


@contextmanager
def package_index(wheels: Path, *, credentials: str | None = None, hangs: bool = False) -> Iterator[str]:
    """Serve wheels as a simple index on this machine, behind a password (``user:password``) or never answering."""
    stop = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if hangs:
                stop.wait(60)
                return
            given = self.headers.get("Authorization", "").removeprefix("Basic ")
            if credentials is not None and b64decode(given).decode() != credentials:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="wheels"')
                self.end_headers()
                return
            parts = self.path.strip("/").split("/")
            if parts[0] == "files":
                body = (wheels / parts[1]).read_bytes()
            else:
                stem = parts[-1].replace("-", "_")
                links = [f'<a href="/files/{path.name}">{path.name}</a>' for path in wheels.glob(f"{stem}-*.whl")]
                body = f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>".encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html" if parts[0] != "files" else "application/octet-stream")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # the name that http.server gives
            """Keep the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        stop.set()
        server.shutdown()
        thread.join()
        server.server_close()
