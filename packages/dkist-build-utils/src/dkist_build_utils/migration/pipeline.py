"""The lines of a Bitbucket pipeline that build and release a client."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dkist_build_utils.migration.core_name import CORE, CORE_DISTRIBUTION
from dkist_build_utils.migration.decision import Rewritten

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_INSTALL = re.compile(r"pip install \.")
_EXPORT = re.compile(
    rf"python -c \"from {CORE}\.build_utils import export_dags; import (?P<package>[\w.]+) as (?P<name>\w+); "
    r"export_dags\((?P=name), '\$\{(?P<folder>\w+)\}'\)\""
)
_NOTEBOOKS = re.compile(
    rf"python -c \"from {CORE}\.build_utils import export_notebook_dockerfile; import (?P<package>[\w.${{}}]+) as "
    r"(?P<name>\w+); export_notebook_dockerfile\((?P=name), 'notebooks/'\)\""
)
_TAR = re.compile(r"tar (?:--exclude=\S+ )?-c?vzf \$\{(?P<archive>\w+)\} \$\{(?P<folder>\w+)\}")
_FROZEN = re.compile(r"(pip install \.)\[([\w,.-]*\bfrozen\b[\w,.-]*)\]")
_ITEM = re.compile(r"(?P<indent>\s*)- (?P<text>.*?)(?P<end>\s*)")


@dataclass(frozen=True)
class _Script:
    """The lines of a pipeline, as far as they are known."""

    lines: list[str]
    """Without their ends."""

    def text(self, number: int) -> str:
        """Return what an item of a list says; empty if the line is none."""
        found = _ITEM.fullmatch(self.lines[number])
        return found["text"] if found else ""

    def say(self, number: int, text: str) -> None:
        """Replace what an item says."""
        found = _ITEM.fullmatch(self.lines[number])
        if found:
            self.lines[number] = f"{found['indent']}- {text}{found['end']}"

    def indent(self, number: int) -> int:
        """Return the columns before a line's text."""
        return len(self.lines[number]) - len(self.lines[number].lstrip())

    def before(self, number: int) -> Iterable[int]:
        """Yield the items of the same list before an item, the nearest first."""
        for other in range(number - 1, -1, -1):
            if not self.lines[other].strip() or self.lines[other].lstrip().startswith("#"):
                continue
            if self.indent(other) != self.indent(number) or not self.text(other):
                return
            yield other

    def after(self, number: int) -> Iterable[int]:
        """Yield the items of the same list after an item."""
        for other in range(number + 1, len(self.lines)):
            if not self.lines[other].strip() or self.lines[other].lstrip().startswith("#"):
                continue
            if self.indent(other) != self.indent(number) or not self.text(other):
                return
            yield other


def rewritten_pipeline(content: bytes, workflows: str | None) -> Rewritten:
    """Return a pipeline that validates, exports and archives with ``dkist-build``, and publishes code before DAGs.

    Parameters
    ----------
    content : bytes
        The file.
    workflows : str or None
        The package of the workflows, if the client has one.
    """
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return Rewritten(content, ((1, "it is not UTF-8: replace its lines by hand"),))
    ends = "\r\n" if "\r\n" in text else "\n"
    script = _Script(text.split(ends))
    decisions: list[tuple[int, str]] = []
    for number in range(len(script.lines)):
        said = script.text(number)
        if found := _EXPORT.fullmatch(said):
            decisions += _rewrite_export(script, number, found["package"], found["folder"])
        elif found := _NOTEBOOKS.fullmatch(said):
            _install(script, number, '".[workflow]" "dkist-build-utils[notebook]"')
            script.say(number, f"dkist-build export {found['package']} --no-lock --notebook --output notebooks")
        elif said == "ddt check freeze" and workflows is not None:
            _each(
                script.before(number),
                script,
                "pip install dkist-dev-tools",
                'pip install ".[workflow]" dkist-build-utils',
            )
            script.say(number, f"dkist-build validate {workflows}")
        elif found := _FROZEN.search(said):
            extras = [extra for extra in found[2].split(",") if extra != "frozen"]
            script.say(number, said.replace(found[0], found[1] + (f"[{','.join(extras)}]" if extras else "")))
    decisions += _publish_code_first(script)
    for number, line in enumerate(script.lines, start=1):
        if CORE in line or CORE_DISTRIBUTION in line:
            decisions.append((number, "it uses the core: see 'dkist-build export', 'image' and 'archive'"))
    return Rewritten(ends.join(script.lines).encode(), tuple(decisions))


def _each(numbers: Iterable[int], script: _Script, old: str, new: str) -> None:
    for number in numbers:
        if script.text(number) == old:
            script.say(number, new)


def _install(script: _Script, number: int, what: str) -> None:
    """Let the nearest line above that installs the package install more."""
    for other in script.before(number):
        if _INSTALL.fullmatch(script.text(other)):
            script.say(other, f"pip install {what}")
            return


def _rewrite_export(script: _Script, number: int, package: str, folder: str) -> Iterable[tuple[int, str]]:
    """Rewrite the line that exports, and with it those that install, pack and name the archive."""
    _install(script, number, '".[workflow]" dkist-build-utils')
    script.say(number, f"dkist-build export {package}")
    slug = re.compile(rf'export {folder}="?\$\{{BITBUCKET_REPO_SLUG\}}_\$\{{BUILD_VERSION\}}/?"?')
    if not any(slug.fullmatch(script.text(other)) for other in script.before(number)):
        yield number + 1, f"the release folder is <distribution>_<version>: let {folder} name it"
    for other in script.after(number):
        said = script.text(other)
        if found := _TAR.fullmatch(said):
            if found["folder"] != folder:
                continue
            script.say(other, f'dkist-build archive "${{{folder}}}"')
            name = re.compile(rf"export {found['archive']}=.*")
            for above in script.before(other):
                if name.fullmatch(script.text(above)):
                    script.say(above, f'export {found["archive"]}="${{{folder}%/}}.tar.gz"')
        elif f"${{{folder}}}" in said and not said.startswith("dkist-build archive"):
            yield (
                other + 1,
                f"it writes into the release folder ({said[:60]}...), which holds what 'export' made and nothing else: "
                "make these DAGs as workflows, or release them in a folder of their own",
            )


def _publish_code_first(script: _Script) -> Iterable[tuple[int, str]]:
    """Move the step that publishes code before the one that exports: a lock holds the published wheel."""
    anchors = _anchors(script)
    exports = {
        name
        for name, lines in anchors.items()
        if any(
            script.text(each).startswith("dkist-build export") and "--no-lock" not in script.text(each)
            for each in lines
        )
    }
    pushes = {name for name, lines in anchors.items() if any("push_python.sh" in script.text(each) for each in lines)}
    if not exports:
        return
    uses = _uses(script, exports)
    codes = _uses(script, pushes)
    for use in uses:
        later = [code for code in codes if code > use]
        if not later:
            continue
        code = later[0]
        first = use if script.indent(use) == script.indent(code) else _opening(script, use, script.indent(code))
        if first is None or not all(_is_inside(script, line, script.indent(code)) for line in range(first + 1, code)):
            yield use + 1, "publish the code before this step: a lock holds the wheel that workers find on the index"
            continue
        script.lines.insert(first, script.lines.pop(code))
        return


def _is_inside(script: _Script, line: int, indent: int) -> bool:
    """Return whether a line is deeper than an item, so that it belongs to what begins above."""
    return not script.lines[line].strip() or script.indent(line) > indent


def _opening(script: _Script, use: int, indent: int) -> int | None:
    """Return the item at an indent that holds a deeper line."""
    for other in range(use - 1, -1, -1):
        if script.lines[other].strip() and script.indent(other) <= indent:
            return other if script.indent(other) == indent and script.text(other) else None
    return None


def _anchors(script: _Script) -> dict[str, list[int]]:
    """Return by the name of each step the lines of its definition."""
    found: dict[str, list[int]] = {}
    name, indent = None, 0
    for number, line in enumerate(script.lines):
        if match := re.fullmatch(r"\s*- step: &(\w+)\s*", line):
            name, indent = match[1], script.indent(number)
            found[name] = []
        elif line.strip() and script.indent(number) <= indent:
            name = None
        elif name is not None:
            found[name].append(number)
    return found


def _uses(script: _Script, names: Iterable[str]) -> list[int]:
    wanted: Callable[[str], bool] = {f"step: *{name}" for name in names}.__contains__
    return [number for number in range(len(script.lines)) if wanted(script.text(number))]
