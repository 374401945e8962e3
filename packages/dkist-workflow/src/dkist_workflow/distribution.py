"""Which installed distribution holds a package."""

from __future__ import annotations

import json
from functools import cache
from importlib.metadata import Distribution, distributions
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from dkist_task.name import normalized_name
from dkist_workflow.errors import WorkflowError

if TYPE_CHECKING:
    from collections.abc import Iterator


@cache  # every workflow of a package asks, and reading the metadata of every distribution takes a while
def distribution_of(package: str) -> str:
    """Return the normalised name of the distribution that installs a package.

    The name comes from installed metadata, not from the import name: from the list of installed files or, for an
    editable installation, from the project folder that it points to.

    Parameters
    ----------
    package : str
        The dotted name of an importable package or module.

    Raises
    ------
    WorkflowError
        The package cannot be imported, no installed distribution holds it, or more than one does.
    """
    folders = _folders_of(package)
    installed = {name for name, dist in _distributions() if _installs(dist, folders)}
    # A virtual environment may lie inside the project folder of an editable distribution. So a distribution that
    # lists the files goes before one whose project folder holds them.
    found = sorted(installed or _editable_candidates(folders))
    if not found:
        raise WorkflowError(
            f"no installed distribution holds the package {package!r}; install it, for example with "
            "'pip install --editable .' in the folder of its pyproject.toml"
        )
    if len(found) > 1:
        raise WorkflowError(
            f"the package {package!r} is installed by more than one distribution: {', '.join(found)}; "
            "uninstall all but one, or define the workflow in a package of its own"
        )
    return found[0]


def _folders_of(package: str) -> tuple[Path, ...]:
    """Return the folders that hold the package's modules."""
    try:
        spec = find_spec(package)
    except (ImportError, ValueError) as error:
        raise WorkflowError(f"the package {package!r} cannot be imported: {error}") from error
    if spec is None:
        raise WorkflowError(f"the package {package!r} cannot be imported: there is no such package")
    if spec.submodule_search_locations is not None:
        return tuple(Path(location).resolve() for location in spec.submodule_search_locations)
    if spec.origin is None:
        raise WorkflowError(f"the package {package!r} has no file")
    return (Path(spec.origin).resolve(),)


def _distributions() -> Iterator[tuple[str, Distribution]]:
    """Yield every installed distribution with its normalised name."""
    for dist in distributions():
        name = dist.metadata["Name"]
        if name:  # a distribution that was removed in part has none
            yield normalized_name(name), dist


def _installs(dist: Distribution, folders: tuple[Path, ...]) -> bool:
    """Return whether the list of installed files has one in the folders, or the file itself."""
    root = Path(str(dist.locate_file(""))).resolve()
    wanted = [folder.relative_to(root).as_posix() for folder in folders if folder.is_relative_to(root)]
    record = dist.read_text("RECORD")
    if not wanted or (record is not None and not any(prefix in record for prefix in wanted)):
        return False  # 'files' asks the file system for every file of a distribution
    return any(
        path == prefix or path.startswith(f"{prefix}/")
        for path in (file.as_posix() for file in dist.files or ())
        for prefix in wanted
    )


def _editable_candidates(folders: tuple[Path, ...]) -> set[str]:
    """Return the editable distributions whose project folder holds the folders, the innermost project only."""
    depths: dict[str, int] = {}
    for name, dist in _distributions():
        project = _editable_project(dist)
        if project is not None and any(folder.is_relative_to(project) for folder in folders):
            depths[name] = max(len(project.parts), depths.get(name, 0))
    deepest = max(depths.values(), default=0)
    return {name for name, depth in depths.items() if depth == deepest}


def _editable_project(dist: Distribution) -> Path | None:
    """Return the project folder of an editable installation (PEP 610)."""
    text = dist.read_text("direct_url.json")
    if text is None:
        return None
    direct_url = json.loads(text)
    if not direct_url.get("dir_info", {}).get("editable"):
        return None
    return Path(unquote(urlsplit(direct_url["url"]).path)).resolve()
