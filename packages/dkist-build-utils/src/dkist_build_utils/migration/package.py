"""A client package as files, and what becomes of each."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from dkist_build_utils.migration.change import Change, paths_in
from dkist_build_utils.migration.core_name import CORE, CORE_DISTRIBUTION, SETTINGS_MODULE
from dkist_build_utils.migration.decision import Decision, Rewritten
from dkist_build_utils.migration.pipeline import rewritten_pipeline
from dkist_build_utils.migration.python_source import rewritten_module
from dkist_build_utils.migration.requirement_list import brought, ours, required, rewritten_lines, rewritten_pyproject
from dkist_build_utils.migration.usage import Usage, usage_of

if TYPE_CHECKING:
    from collections.abc import Iterable

_TEMPLATES = files("dkist_build_utils.migration")
_NAMES = (CORE.encode(), CORE_DISTRIBUTION.encode())


@dataclass
class Rewriting:
    """A package on its way: the old and the new content of its files, and what is left for a person."""

    folder: Path
    """The folder of the package."""
    before: dict[Path, bytes] = field(default_factory=dict)
    """The old content of the files that were read."""
    after: dict[Path, bytes] = field(default_factory=dict)
    """The new content of the files that change, and of new ones."""
    decisions: list[Decision] = field(default_factory=list)
    """What a person must decide."""

    def content(self, path: Path) -> bytes:
        """Return what a file will hold."""
        return self.after.get(path, self.before.get(path, b""))

    def put(self, path: Path, rewritten: Rewritten) -> None:
        """Note the new content of a file, and the decisions in it."""
        if rewritten.content != self.before.get(path):
            self.after[path] = rewritten.content
        self.decisions += (Decision(path.as_posix(), line, what) for line, what in rewritten.decisions)

    def decide(self, path: Path, line: int, what: str) -> None:
        """Note what a person must decide."""
        self.decisions.append(Decision(path.as_posix(), line, what))

    def notes(self) -> tuple[str, ...]:
        """Return what to know about the clients that this package requires."""
        return tuple(
            f"this package requires '{text}': where that still requires {CORE_DISTRIBUTION}, migrate and release it "
            "as well. A local version of it (1.2.3+dkist) fits the pin ==1.2.3"
            for text in required(self.content(Path("pyproject.toml")))
        )

    def changes(self) -> tuple[Change, ...]:
        """Return the files that change, sorted."""
        return tuple(Change(path, self.before.get(path), after) for path, after in sorted(self.after.items()))


def rewritten_package(folder: Path) -> Rewriting:
    """Return what becomes of a client package; nothing is written.

    Parameters
    ----------
    folder : Path
        The folder with its pyproject.toml.

    Raises
    ------
    OSError
        A file cannot be read.
    """
    rewriting = Rewriting(folder)
    sources = []
    others = []
    for path in paths_in(folder):
        if path.suffix == ".py":
            sources.append(path)
        elif path.suffix in {".toml", ".cfg", ".txt", ".in", ".yml", ".yaml"}:
            others.append(path)
    modules = [path for path in sources if path.name != "setup.py" and _is_read(rewriting, path)]
    for path in modules:
        _rewrite_module(rewriting, path)
    _add_settings(rewriting, modules)
    usage = usage_of((PurePosixPath(path.as_posix()), rewriting.content(path)) for path in modules)
    rest = [
        path for path in (*others, *(path for path in sources if path.name == "setup.py")) if _is_read(rewriting, path)
    ]
    is_after_core = any(_requires_core(rewriting.before[path]) for path in rest)
    for path in rest:
        _rewrite_other(rewriting, path, usage, _workflow_package(rewriting, modules), is_after_core=is_after_core)
    _add_image(rewriting, usage)
    return rewriting


def _is_read(rewriting: Rewriting, path: Path) -> bool:
    """Read a file, unless it is a link: what it leads to is read in its own place, or is not the package's."""
    full = rewriting.folder / path
    if not full.is_symlink():
        if not full.is_file():
            return False
        rewriting.before[path] = full.read_bytes()
        return True
    target = full.resolve()
    is_ours = target.is_relative_to(rewriting.folder.resolve())
    if not is_ours and target.is_file() and any(name in target.read_bytes() for name in _NAMES):
        rewriting.decide(path, 1, f"it is a link to {target}, outside of the package: migrate that where it is")
    return False


def _rewrite_module(rewriting: Rewriting, path: Path) -> None:
    content = rewriting.before[path]
    try:
        rewriting.put(path, rewritten_module(content, _top_package(rewriting.folder, path)))
    except SyntaxError as error:
        if any(name in content for name in _NAMES):
            rewriting.decide(
                path, error.lineno or 1, f"this is not Python ({error.msg}): correct it, then migrate again"
            )
    except (UnicodeDecodeError, LookupError) as error:
        if any(name in content for name in _NAMES):
            rewriting.decide(path, 1, f"its text cannot be read ({error}): save it as UTF-8, then migrate again")


def _top_package(folder: Path, path: Path) -> str:
    """Return the top-level package of a module; the name of the module where it is in none."""
    parts = path.with_suffix("").parts
    tops = [
        number for number in range(len(parts) - 1) if (folder / Path(*parts[: number + 1]) / "__init__.py").exists()
    ]
    return parts[tops[0]] if tops else parts[-1]


def _add_settings(rewriting: Rewriting, modules: Iterable[Path]) -> None:
    """Give each package that subclasses the core's settings a module with them."""
    wanted = re.compile(rb"^\s*from (\w+)\." + SETTINGS_MODULE.encode() + rb" import ", re.MULTILINE)
    text = _TEMPLATES.joinpath(f"{SETTINGS_MODULE}.txt").read_text(encoding="utf-8")
    for path in modules:
        if path not in rewriting.after or (found := wanted.search(rewriting.after[path])) is None:
            continue
        parts = path.parts
        package = Path(*parts[: parts.index(found[1].decode()) + 1])
        target = package / f"{SETTINGS_MODULE}.py"
        if (rewriting.folder / target).exists():
            rewriting.decide(target, 1, f"it is in the way of the settings of {CORE}: rename it, then migrate again")
        else:
            rewriting.after[target] = text.encode()


def _workflow_package(rewriting: Rewriting, modules: Iterable[Path]) -> str | None:
    """Return the dotted name of the package of the workflows; None if there is none."""
    for path in modules:
        if path.name == "__init__.py" and path.parent.name == "workflows":
            parts = path.parent.parts
            tops = [n for n in range(len(parts)) if (rewriting.folder / Path(*parts[: n + 1]) / "__init__.py").exists()]
            return ".".join(parts[tops[0] :])
    return None


def _requires_core(content: bytes) -> bool:
    """Return whether a list of requirements names the core, that of an extra ``frozen`` left aside."""
    without_frozen = re.sub(rb"(?ms)^frozen = \[.*?^\]", b"", content)
    return CORE_DISTRIBUTION.encode() in without_frozen


def _rewrite_other(
    rewriting: Rewriting, path: Path, usage: Usage, workflows: str | None, *, is_after_core: bool
) -> None:
    content = rewriting.before[path]
    wanted = [ours("dkist-task"), *(brought(usage) if is_after_core else ())]
    if path.name == "pyproject.toml":
        rewriting.put(path, rewritten_pyproject(content, usage))
    elif path.suffix in {".yml", ".yaml"} and "pipelines" in path.stem:
        rewriting.put(path, rewritten_pipeline(content, workflows))
    elif path.name.startswith((".pre-commit-config", "requirements", "setup.")):
        rewriting.put(path, rewritten_lines(content, wanted))
        if path.name.startswith("setup.") and path in rewriting.after and workflows is not None:
            rewriting.decide(
                path, 1, f"add an extra 'workflow' that requires {ours('dkist-workflow')}, and no 'frozen'"
            )
    elif any(name in content for name in _NAMES):
        for number, line in enumerate(content.splitlines(), start=1):
            if any(name in line for name in _NAMES):
                rewriting.decide(
                    path, number, f"it names {CORE_DISTRIBUTION}: nothing of ours reads this file; correct it"
                )


def _add_image(rewriting: Rewriting, usage: Usage) -> None:
    """Write the file of the image with notebooks that a pipeline builds, which the core wrote in the pipeline."""
    target = Path("Dockerfile")
    for path, content in list(rewriting.after.items()):
        if b"--notebook --output notebooks" not in content:
            continue
        line = 1 + content[: content.index(b"--notebook --output notebooks")].count(b"\n")
        if (rewriting.folder / target).exists():
            rewriting.decide(
                path, line, "the core wrote a Dockerfile here, and there is another one: build the one you need"
            )
        elif len(usage.categories) != 1:
            rewriting.decide(
                path, line, "write a Dockerfile for the notebooks; the instrument that is in its address is not known"
            )
        else:
            python = re.search(rb"^image: python:(3\.\d+)", content, re.MULTILINE)
            text = _TEMPLATES.joinpath("manual_image.txt").read_text(encoding="utf-8")
            (category,) = usage.categories
            values = {"category": category, "python": python[1].decode() if python else "3.13"}
            for name, value in values.items():
                text = text.replace("{" + name + "}", value)
            rewriting.after[target] = text.encode()
