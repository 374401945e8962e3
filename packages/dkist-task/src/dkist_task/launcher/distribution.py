"""Which installed distribution a module is part of.

`importlib.metadata` would take longer to import than all else that a launcher does, so its few lines stand here: the
folders it reads are specified at https://packaging.python.org/en/latest/specifications/recording-installed-packages/.
"""

from __future__ import annotations

import os
import re
import sys
from importlib.machinery import PathFinder


def distribution_at(module_name: str) -> str | None:
    """Return name and version of the distribution that holds `module_name`, None where there is none.

    Nothing of it is imported, and names are not trusted: the distribution's own list of files has to hold the module.
    """
    file = _source_of(module_name)
    if file is None:
        return None
    likely = module_name.partition(".")[0].lower()
    for folder in dict.fromkeys(sys.path):
        try:
            names = [name for name in os.listdir(folder or ".") if name.endswith(".dist-info")]
        except OSError:
            continue
        # The namesake first: in most environments it is the one, and reading every list of files takes time.
        for name in sorted(names, key=lambda name: not name.lower().startswith(likely)):
            if _is_holder(os.path.join(folder, name), file):
                return _name_and_version(os.path.join(folder, name))
    return None


def _source_of(module_name: str) -> str | None:
    """Return the file of a module, found as the import system would but without running any package on the way."""
    path: list[str] | None = None
    spec = None
    parts = module_name.split(".")
    for depth in range(len(parts)):
        spec = PathFinder.find_spec(".".join(parts[: depth + 1]), path)
        if spec is None:
            return None
        path = list(spec.submodule_search_locations or [])
    return os.path.realpath(spec.origin) if spec is not None and spec.origin else None


def _is_holder(metadata_folder: str, file: str) -> bool:
    """Return whether the distribution installed `file`, or is installed editable from a project around it."""
    root = os.path.join(os.path.realpath(os.path.dirname(metadata_folder)), "")
    if file.startswith(root) and f"\n{file[len(root) :]}," in "\n" + _text(metadata_folder, "RECORD"):
        return True
    origin = _text(metadata_folder, "direct_url.json")
    project = re.search(r'"url"\s*:\s*"file://([^"]*)"', origin)
    if project is None or '"editable"' not in origin:
        return False
    path = re.sub("(?:%[0-9A-Fa-f]{2})+", lambda coded: bytes.fromhex(coded[0].replace("%", "")).decode(), project[1])
    return file.startswith(os.path.join(os.path.realpath(path), ""))


def _name_and_version(metadata_folder: str) -> str:
    """Return the distribution's name and version, as its metadata spells them."""
    fields = dict(
        line.split(": ", 1) for line in _text(metadata_folder, "METADATA").split("\n\n")[0].splitlines() if ": " in line
    )
    return f"{fields.get('Name')} {fields.get('Version')}"


def _text(folder: str, name: str) -> str:
    """Return what a file holds, nothing where it is missing."""
    try:
        with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
