"""Small instrument packages for tests, packed in milliseconds without a build back end or a network.

>>> package = Package("dkist-processing-small", modules={"tasks": "X = 1"}, dependencies=["dkist-task"])
>>> package.import_name
'dkist_processing_small'
"""

from __future__ import annotations

import base64
import hashlib
import io
import subprocess
import sys
import textwrap
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

ROOT = Path(__file__).parents[1]

PACKAGES = ("dkist-task", "dkist-workflow", "dkist-airflow-node", "dkist-build-utils")
"""The project's own distributions; each may need those before it."""

OWN_PROJECTS = tuple(ROOT / "packages" / name for name in PACKAGES)
"""Their folders."""

# The earliest time that a zip archive can hold. With one fixed time, the same content gives the same bytes.
EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Package:
    """A pure Python distribution that exists only for a test."""

    name: str
    """Distribution name."""
    version: str = "1.0.0"
    """Version."""
    modules: Mapping[str, str] = field(default_factory=dict)
    """Source of each module of the package, dedented, by name (``tasks``, ``sub.tasks``); ``__init__`` is added."""
    dependencies: Sequence[str] = ()
    """Its requirements."""
    extras: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """The requirements of each extra."""
    requires_python: str = ">=3.11"
    """Versions of Python that may install it."""

    @property
    def import_name(self) -> str:
        """Name of the package to import."""
        return self.name.replace("-", "_")

    def files(self) -> dict[str, str]:
        """Return the text of every source file by path."""
        sources = {"__init__": "", **self.modules}
        inner = {module.rpartition(".")[0] for module in self.modules} - {""}
        sources.update({f"{package}.__init__": "" for package in inner if f"{package}.__init__" not in sources})
        return {
            f"{self.import_name}/{module.replace('.', '/')}.py": textwrap.dedent(source)
            for module, source in sources.items()
        }

    def write_source(self, folder: Path) -> Path:
        """Write a project (``pyproject.toml`` for hatchling, ``src/``) into ``folder/<name>`` and return that.

        For tests that build, install editable, or import it; `write_wheel` is quicker where a wheel will do.
        """
        project = folder / self.name
        for path, text in self.files().items():
            file = project / "src" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        (project / "pyproject.toml").write_text(self._pyproject())
        return project

    def write_wheel(self, folder: Path) -> Path:
        """Write the wheel into a folder and return its path; the same package is the same bytes."""
        content = self.files()
        info = f"{self.import_name}-{self.version}.dist-info"
        content[f"{info}/METADATA"] = self._metadata()
        content[f"{info}/WHEEL"] = "Wheel-Version: 1.0\nGenerator: harness\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        record = "".join(
            f"{path},sha256={_record_digest(text)},{len(text.encode())}\n" for path, text in content.items()
        )
        content[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n"
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for path, text in content.items():
                archive.writestr(zipfile.ZipInfo(path, EPOCH), text)
        folder.mkdir(parents=True, exist_ok=True)
        wheel = folder / f"{self.import_name}-{self.version}-py3-none-any.whl"
        wheel.write_bytes(packed.getvalue())
        return wheel

    def _metadata(self) -> str:
        lines = [
            "Metadata-Version: 2.1",
            f"Name: {self.name}",
            f"Version: {self.version}",
            f"Requires-Python: {self.requires_python}",
            *(f"Requires-Dist: {requirement}" for requirement in self.dependencies),
        ]
        for extra, requirements in self.extras.items():
            lines.append(f"Provides-Extra: {extra}")
            lines += [f"Requires-Dist: {requirement}; extra == '{extra}'" for requirement in requirements]
        return "\n".join(lines) + "\n"

    def _pyproject(self) -> str:
        lines = [
            "[build-system]",
            'requires = ["hatchling"]',
            'build-backend = "hatchling.build"',
            "",
            "[project]",
            f'name = "{self.name}"',
            f'version = "{self.version}"',
            f'requires-python = "{self.requires_python}"',
            f"dependencies = {_toml_list(self.dependencies)}",
        ]
        if self.extras:
            lines += ["", "[project.optional-dependencies]"]
            lines += [f"{extra} = {_toml_list(requirements)}" for extra, requirements in self.extras.items()]
        lines += ["", "[tool.hatch.build.targets.wheel]", f'packages = ["src/{self.import_name}"]']
        return "\n".join(lines) + "\n"


def build_wheels(folder: Path, projects: Iterable[Path] = OWN_PROJECTS) -> list[Path]:
    """Build the wheel of each project into a folder and return their paths.

    Builds are not isolated: this interpreter has the back end (hatchling), so a build takes a third of a second and
    needs no network.

    Raises
    ------
    RuntimeError
        A project does not build. The message has the output of the back end.
    """
    return [_build_wheel(project, folder.absolute()) for project in projects]


def _build_wheel(project: Path, folder: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{project.name} does not build:\n{done.stdout}{done.stderr}")
    return Path(done.stderr.splitlines()[-1])  # hatchling's last line on standard error is the path


def _record_digest(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _toml_list(values: Iterable[str]) -> str:
    return "[" + ", ".join(f"'{value}'" for value in values) + "]"
