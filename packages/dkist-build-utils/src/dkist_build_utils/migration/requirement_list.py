"""The requirements of a client: the core is replaced by what its code imports of ours."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import tomlkit
from packaging.requirements import InvalidRequirement, Requirement
from tomlkit.exceptions import TOMLKitError

from dkist_build_utils.migration.core_name import CORE_DISTRIBUTION
from dkist_build_utils.migration.decision import Rewritten
from dkist_task import __version__
from dkist_workflow import normalized_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from dkist_build_utils.migration.usage import Usage

EXTRA = "workflow"
"""The extra that no task names: where workflows are validated and exported."""

CLIENTS = frozenset(
    f"dkist-processing-{name}" for name in ("common", "cryonirsp", "dlnirsp", "ops", "test", "trend", "vbi", "visp")
)
"""The distributions that use the core."""

BROUGHT = {
    "dkist_service_configuration": "dkist-service-configuration >= 4.3.0, < 5.0",
    "nbconvert": "nbconvert >= 7.16.6, < 8.0",
    "nbformat": "nbformat >= 5.9.2",
    "pydantic": "pydantic > 2.0",
    "requests": "requests >= 2.23",
    "talus": "talus >= 1.3.4, < 2.0",
}
"""What the core brought, by the package that is imported: whoever imports it must now require it."""


def ours(name: str, extras: str = "") -> str:
    """Return the requirement of one of our distributions, for the versions that fit this one."""
    major, minor, *_ = __version__.split(".")
    upper = f"{major}.{int(minor) + 1}" if major == "0" else str(int(major) + 1)
    return f"{name}{extras} >= {major}.{minor}, < {upper}"


def brought(usage: Usage, *, in_tests: bool = False) -> list[str]:
    """Return what the core brought and the code, or its tests, import."""
    return [each for package, each in BROUGHT.items() if usage.imports(package, in_tests=in_tests)]


def required(content: bytes) -> list[str]:
    """Return the other clients that a pyproject.toml requires; none if it cannot be read."""
    try:
        document = tomlkit.parse(content.decode())
    except (UnicodeDecodeError, TOMLKitError):
        return []
    project: Any = document.get("project", {})
    texts = [str(text) for text in project.get("dependencies", ())]
    return [text for text in texts if (found := _requirement(text)) is not None and found.name in CLIENTS]


def rewritten_pyproject(content: bytes, usage: Usage) -> Rewritten:
    """Return a pyproject.toml with our requirements in place of the core's.

    Parameters
    ----------
    content : bytes
        The file.
    usage : Usage
        What the package imports after its migration.
    """
    try:
        document = tomlkit.parse(content.decode())
    except (UnicodeDecodeError, TOMLKitError) as error:
        return Rewritten(content, ((1, f"it cannot be read ({error}): correct it, then migrate again"),))
    project: Any = document.get("project")
    if project is None or "name" not in project:
        return Rewritten(content)
    dependencies = project.get("dependencies")
    required = () if dependencies is None else dependencies
    had_core = _find(required, CORE_DISTRIBUTION) is not None
    if not (had_core or usage.imports("dkist_task") or usage.imports("dkist_workflow")):
        return Rewritten(content)
    decisions: list[tuple[int, str]] = []
    wanted = [ours("dkist-task")] if had_core or usage.imports("dkist_task") else []
    if had_core:
        wanted += brought(usage)
    if dependencies is None:
        if "dependencies" in project.get("dynamic", ()):
            decisions.append((1, f"the dependencies are dynamic: add {', '.join(wanted)} where they come from"))
        elif wanted:
            project["dependencies"] = dependencies = tomlkit.array().multiline(multiline=True)
    if dependencies is not None:
        _replace(dependencies, CORE_DISTRIBUTION, wanted)
    _rewrite_extras(project, usage, is_after_core=had_core)
    text = tomlkit.dumps(document)
    return Rewritten(text.encode(), tuple(decisions))


def _rewrite_extras(project: Any, usage: Usage, *, is_after_core: bool) -> None:
    """Replace the core in the extras, remove ``frozen``, and add what workflows and tests need."""
    extras = project.get("optional-dependencies")
    if extras is None:
        extras = project["optional-dependencies"] = tomlkit.table()
    had_frozen = extras.pop("frozen", None) is not None
    name = str(project["name"])
    for extra in extras.values():
        if _find(extra, CORE_DISTRIBUTION) is not None:
            _replace(extra, CORE_DISTRIBUTION, [ours("dkist-task")])
        if had_frozen:
            _without_extra(extra, name, "frozen")
    if usage.of_workflows and not any(_find(extra, "dkist-workflow") is not None for extra in extras.values()):
        if EXTRA in extras:
            _replace(extras[EXTRA], "", [ours("dkist-workflow")])
        else:
            extras.append(EXTRA, _array([ours("dkist-workflow")]))
    tests = _of_tests(name, usage, is_after_core=is_after_core)
    if tests:
        if "test" not in extras:
            extras.append("test", _array([]))
        _replace(extras["test"], "", tests)
    if not extras:
        project.remove("optional-dependencies")


def _of_tests(name: str, usage: Usage, *, is_after_core: bool) -> list[str]:
    """Return what the tests of a package require."""
    uses_build = usage.imports("dkist_build_utils", in_tests=True)
    uses_workflow = usage.imports("dkist_workflow", in_tests=True)
    tests: list[str] = []
    if usage.of_workflows and (uses_workflow or uses_build):
        tests.append(f"{name}[{EXTRA}]")
    elif uses_workflow:
        tests.append(ours("dkist-workflow"))
    if uses_build:
        tests.append(ours("dkist-build-utils", "[notebook]" if usage.imports("nbformat", in_tests=True) else ""))
    if usage.is_loaded_in_tests:
        tests.append(ours("dkist-airflow-node", "[airflow]"))
    if usage.imports("dkist_task.notebook") or usage.imports("dkist_task.notebook", in_tests=True):
        tests.append(ours("dkist-task", "[notebook]"))
    if is_after_core:
        own = brought(usage)
        tests += [each for each in brought(usage, in_tests=True) if each not in own]
    return tests


def _array(items: Iterable[str]) -> Any:
    array = tomlkit.array()
    for item in items:
        array.add_line(item, indent="  ")
    array.add_line(indent="")
    return array


def _requirement(text: object) -> Requirement | None:
    try:
        return Requirement(str(text))
    except InvalidRequirement:
        return None


def _find(array: Iterable[Any], name: str) -> int | None:
    """Return the place of the requirement of a distribution; None if there is none."""
    for place, text in enumerate(array):
        found = _requirement(text)
        if found is not None and normalized_name(found.name) == name:
            return place
    return None


def _replace(array: Any, name: str, wanted: Iterable[str]) -> None:
    """Put requirements where that of a distribution is, or at the end; one that is there in any form is not added."""
    place = _find(array, name)
    missing = [text for text in wanted if not any(_is_met(text, each) for each in array)]
    if place is not None:
        if missing:
            array[place] = missing.pop(0)
        else:
            del array[place]
    is_multiline = "\n" in array.as_string()
    for text in missing:
        if is_multiline:
            array.add_line(text, indent=_indent(array))
        else:
            array.append(text)


def _is_met(wanted: str, present: object) -> bool:
    """Return whether a requirement that is there names the distribution and the extras of another."""
    found, asked = _requirement(present), Requirement(wanted)
    return (
        found is not None
        and normalized_name(found.name) == normalized_name(asked.name)
        and asked.extras <= found.extras
    )


def _indent(array: Any) -> str:
    found = re.search(r"\n([ \t]+)\S", array.as_string())
    return found[1] if found else "  "


def _without_extra(array: Any, name: str, extra: str) -> None:
    """Take an extra of the package itself out of the requirements of another extra."""
    for place, text in enumerate(array):
        found = _requirement(text)
        if found is not None and normalized_name(found.name) == normalized_name(name) and extra in found.extras:
            rest = sorted(found.extras - {extra})
            array[place] = f"{found.name}[{','.join(rest)}]" if rest else found.name


_LINE = re.compile(
    rf"(?P<before>\s*(?:-\s+)?[\"']?){CORE_DISTRIBUTION}\b[^\"'#;\r\n]*?(?P<after>[\"']?,?\s*(?:;.*|#.*)?)"
)


def rewritten_lines(content: bytes, wanted: Iterable[str]) -> Rewritten:
    """Return a file of another kind with our requirements, one a line, where a line is a requirement of the core.

    Such files are setup.cfg, lists of requirements and the hooks of pre-commit.

    Parameters
    ----------
    content : bytes
        The file.
    wanted : iterable of str
        What takes the place of the core.
    """
    if CORE_DISTRIBUTION.encode() not in content:
        return Rewritten(content)
    try:
        lines = content.decode().splitlines(keepends=True)
    except UnicodeDecodeError:
        return Rewritten(content, ((1, f"it names {CORE_DISTRIBUTION} and is not UTF-8: replace it by hand"),))
    named = content.decode()
    missing = [text for text in wanted if not re.search(rf"\b{re.escape(Requirement(text).name)}\b(?!-)", named)]
    result = list(_replaced_lines(lines, missing))
    decisions = tuple(
        (number, f"it names {CORE_DISTRIBUTION}: require {ours('dkist-task')} in its place")
        for number, line in enumerate(result, start=1)
        if CORE_DISTRIBUTION in line and not line.lstrip().startswith("#")
    )
    return Rewritten("".join(result).encode(), decisions)


def _replaced_lines(lines: Iterable[str], wanted: Iterable[str]) -> Iterator[str]:
    for line in lines:
        end = line[len(line.rstrip("\r\n")) :]
        found = _LINE.fullmatch(line.rstrip("\r\n"))
        if found is None:
            yield line
        else:
            for text in wanted:
                yield f"{found['before']}{text.replace(' ', '')}{found['after']}{end}"
