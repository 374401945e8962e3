"""Which installed distribution a module is part of."""

from __future__ import annotations

import importlib.machinery
import importlib.metadata
import json
from pathlib import Path
from urllib.parse import unquote, urlsplit


def distribution_at(module_name: str) -> str | None:
    """Return name and version of the distribution that holds `module_name`, None where there is none.

    Nothing is imported, and names are not trusted: the distribution's own list of files has to hold the module.
    """
    file = _source_of(module_name)
    if file is None:
        return None
    likely = module_name.partition(".")[0].replace("_", "-")
    # The namesake first: in most environments it is the one, and reading every list of files takes time.
    for candidates in (importlib.metadata.distributions(name=likely), importlib.metadata.distributions()):
        for distribution in candidates:
            if _is_holder(distribution, file):
                return f"{distribution.name} {distribution.version}"
    return None


def _source_of(module_name: str) -> Path | None:
    """Return the file of a module, found as the import system would but without running any package on the way."""
    path: list[str] | None = None
    spec = None
    parts = module_name.split(".")
    for depth in range(len(parts)):
        spec = importlib.machinery.PathFinder.find_spec(".".join(parts[: depth + 1]), path)
        if spec is None:
            return None
        path = list(spec.submodule_search_locations or [])
    return Path(spec.origin).resolve() if spec is not None and spec.origin else None


def _is_holder(distribution: importlib.metadata.Distribution, file: Path) -> bool:
    """Tell whether `distribution` installed `file`, or is installed editable from a project around it."""
    root = Path(str(distribution.locate_file(""))).resolve()
    record = distribution.read_text("RECORD") or ""
    if file.is_relative_to(root) and f"\n{file.relative_to(root)}," in f"\n{record}":
        return True
    origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    if not origin.get("dir_info", {}).get("editable"):
        return False
    return file.is_relative_to(Path(unquote(urlsplit(origin["url"]).path)).resolve())
