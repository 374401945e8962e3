"""The build of an environment."""

from __future__ import annotations

import os
import shutil
import time

from ..errors import CannotRunError
from ..log import tidy
from ..signals import ended_with
from ..store import MARKER
from ..variables import build_variables
from .disk import remedy
from .file_system import refuse_network_file_system

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..environment import Environment
    from ..supervisor import Supervisor


class Build:
    """One build of an environment, whose lock this process holds alone."""

    def __init__(self, environment: Environment, supervisor: Supervisor) -> None:
        self.path = environment.path
        self.environment = environment
        self.origin = environment.origin
        self.supervisor = supervisor

    def make(self) -> None:
        """Build it, or keep nothing of it."""
        refuse_network_file_system(self.environment.store)
        mask = os.umask(0o022)  # nobody else may write to what tasks will run
        begin = time.monotonic()
        try:
            variables = build_variables(self.environment.environ)
            python = self.find_python(variables)
            self.supervisor.output.say(f"building {self.path} for {self.origin}")
            self.install(python, variables)
        except (CannotRunError, OSError) as error:
            self.remove()
            if isinstance(error, OSError):
                reason = f"could not build the environment of {self.origin}: {error}"
                raise CannotRunError(
                    reason + remedy(f"the environment store {self.environment.store}", str(error))
                ) from error
            raise
        finally:
            os.umask(mask)
        self.supervisor.output.say(f"built in {time.monotonic() - begin:.0f} s")

    def find_python(self, variables: Mapping[str, str]) -> str:
        """Return the interpreter of the worker that the release needs."""
        folders = variables.get("PATH", os.defpath).split(":")
        if not any(os.access(f"{folder}/uv", os.X_OK) for folder in folders):
            raise CannotRunError("no 'uv' on the PATH of this worker, so it cannot build; install it there")
        find = ["uv", "python", "find", "--system", "--no-python-downloads", self.environment.python]
        self.supervisor.start(find, variables, folder="/", is_shown=False)
        status = self.supervisor.finish()
        found = self.supervisor.tail.decode(errors="surrogateescape").strip().rpartition("\n")[2]
        if status or not found.startswith("/"):
            raise CannotRunError(
                f"no Python {self.environment.python} on this worker, which {self.origin} needs; install it there",
                can_retry=False,
            )
        return found

    def install(self, python: str, variables: Mapping[str, str]) -> None:
        """Fill the environment, which this process holds alone."""
        own = f"{self.path}/bin/python"
        into = ["--quiet", "--python", own, "--only-binary", ":all:", "--link-mode", "copy", "--compile-bytecode"]
        if variables.get("UV_NO_INDEX", "").lower() not in {"", "0", "false", "no", "off", "f", "n"}:
            into.append("--no-index")  # uv 0.13 has the option, but does not read the variable
        self.remove()
        self.step(["uv", "venv", "--quiet", "--no-python-downloads", "--python", python, self.path], variables)
        if self.environment.lock:
            requirements = f"{self.path}/requirements.txt"
            with open(requirements, "wb") as file:  # what was verified, not what the lock is by now
                file.write(self.environment.requirements)
            wheels = self.wheels()
            if wheels:
                self.supervisor.output.say(f"installing the wheels in {wheels}, without a network")
                into += ["--no-config", "--offline", "--no-index", "--find-links", wheels]
                variables = {  # no setting of an index
                    name: value for name, value in variables.items() if name[:3] != "UV_" or name == "UV_CACHE_DIR"
                }
            self.step(["uv", "pip", "sync", *into, "--require-hashes", requirements], variables)
        else:
            self.step(
                ["uv", "pip", "install", *into, "--", self.environment.requirement, "dkist-task[otlp]"], variables
            )
        self.step([own, "-P", "-c", "import dkist_task, os; print('\\n' + os.__file__)"], variables, is_shown=False)
        library = self.supervisor.tail.rstrip(b"\n").rpartition(b"\n")[2]
        with open(f"{self.path}/.finished", "wb") as file:
            file.write(library + b"\n" + self.origin.encode("utf-8", "surrogateescape") + b"\n")
        os.rename(f"{self.path}/.finished", f"{self.path}/{MARKER}")

    def wheels(self) -> str:
        """Return the folder that has every wheel of the lock, or nothing: it was put there as a whole."""
        environ = self.environment.environ
        release = os.path.dirname(os.path.realpath(self.environment.lock))
        dags, name = os.path.split(os.path.dirname(release))
        beside = environ.get("DKIST_WHEELHOUSE") or f"{dags}/.{name}.dkist-wheels"
        for folder in (f"{beside}/{environ['DKIST_LOCK_SHA256']}", f"{release}/wheels"):
            if os.path.isdir(folder):
                return folder
        return ""

    def step(self, command: list[str], variables: Mapping[str, str], *, is_shown: bool = True) -> None:
        """Run one program of the build in a folder without settings of a project."""
        self.supervisor.start(command, variables, folder="/", is_shown=is_shown)
        status = self.supervisor.finish()
        if status:
            tail = self.supervisor.tail.decode(errors="replace").strip()
            if not is_shown:
                self.supervisor.output.put(tidy(self.supervisor.tail.rstrip(b"\n") + b"\n"))
            raise CannotRunError(
                f"could not build the environment of {self.origin}; nothing of it was kept: "
                + (tail[-1500:] or f"{command[0]} ended with {ended_with(status)}")
                + remedy(f"the environment store {self.environment.store}", tail)
            )

    def remove(self) -> None:
        """Remove the folder, marker first: what is half removed is never used."""
        try:
            os.unlink(f"{self.path}/{MARKER}")
        except FileNotFoundError:
            pass
        except OSError as error:
            raise CannotRunError(f"cannot remove {self.path}: {error.strerror}") from error
        shutil.rmtree(self.path, ignore_errors=True)
