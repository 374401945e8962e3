"""Run pip for the one thing that uv does not do: to download wheels as they are."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit, urlunsplit

from dkist_build_utils.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_DROPPED = {"PYTHONPATH", "PYTHONHOME", "PIP_CONSTRAINT", "PIP_REQUIREMENT", "PIP_NO_BINARY", "PIP_DEST"}
_PLATFORM = re.compile(
    r"linux|(?P<machine>\w+?)-(?:unknown-linux-gnu|manylinux(?:_2_(?P<minor>[0-9]{1,3})|(?P<year>2014)))"
)
_NAMED_INDEX = re.compile(r"(?:(?P<name>[\w.-]+)=)?(?P<address>.+)")
_OLDEST_GLIBC = 5
_UV_LINUX_GLIBC = 28
"""What uv takes ``linux`` and ``x86_64-unknown-linux-gnu`` for: manylinux_2_28."""
_LEGACY = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
_FALSE = {"", "0", "false", "no", "off", "f", "n"}


def check_pip() -> None:
    """Raise BuildError if pip, the extra ``wheelhouse`` of this distribution, is not installed."""
    if find_spec("pip") is None:
        raise BuildError("pip, which downloads wheels, is not installed; install 'dkist-build-utils[wheelhouse]'")


def download_wheels(
    lock: bytes, python: str, python_platform: str | None, find_links: Sequence[Path], target: Path
) -> None:
    """Download the wheels that a lock names into a folder.

    pip reads its own settings, and is given the indexes and credentials that uv is set up for by environment variables.
    Where a file comes from decides nothing: only one with a hash of the lock is taken.

    Parameters
    ----------
    lock : bytes
        Requirements with hashes.
    python : str
        The Python of the workers, ``X.Y``.
    python_platform : str or None
        Their platform, as uv names it; None for this machine's.
    find_links : sequence of Path
        Folders with wheels that are not published yet.
    target : Path
        The folder. What is in it already is not downloaded again.

    Raises
    ------
    BuildError
        pip failed, or has no name for the platform.
    """
    options = ["--python-version", python]
    for tag in [] if python_platform is None else platform_tags(python_platform):
        options += ["--platform", tag]
    for folder in find_links:
        options += ["--find-links", str(folder.resolve())]
    with tempfile.TemporaryDirectory(prefix="dkist-build-") as neutral:
        requirements = Path(neutral, "requirements.txt")
        requirements.write_bytes(lock)
        done = subprocess.run(
            [
                *(sys.executable, "-P", "-m", "pip", "--disable-pip-version-check", "--no-input", "--quiet"),
                *("download", "--require-hashes", "--no-deps", "--only-binary", ":all:", "--dest", str(target)),
                *(*options, "--requirement", str(requirements)),
            ],
            env=pip_variables(os.environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    if done.returncode != 0:
        _, _, said = done.stderr.partition("ERROR: ")
        words = (said or done.stderr).strip() or f"it ended with exit status {done.returncode}"
        raise BuildError(f"pip cannot download what a lock names: {words}")


def platform_tags(python_platform: str) -> list[str]:
    """Return the platform tags of wheels that a platform of uv's can install, best first.

    Parameters
    ----------
    python_platform : str
        The platform, as uv names it: ``x86_64-manylinux_2_28``, ``aarch64-unknown-linux-gnu``, ``linux``.

    Raises
    ------
    BuildError
        It is not a Linux with glibc, which all workers are.
    """
    found = _PLATFORM.fullmatch(python_platform)
    if found is None:
        raise BuildError(
            f"wheels for the platform {python_platform!r} cannot be downloaded; name one such as x86_64-manylinux_2_28"
        )
    machine = found["machine"] or "x86_64"
    newest = int(found["minor"] or (17 if found["year"] else _UV_LINUX_GLIBC))
    tags = []
    for minor in range(newest, _OLDEST_GLIBC - 1, -1):
        tags.append(f"manylinux_2_{minor}_{machine}")
        if minor in _LEGACY:
            tags.append(f"{_LEGACY[minor]}_{machine}")
    return [*tags, f"linux_{machine}"]


def pip_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment variables for pip: its own settings, and uv's indexes in pip's words."""
    variables = {name: value for name, value in environ.items() if name not in _DROPPED and not name.startswith("UV_")}
    default = environ.get("UV_DEFAULT_INDEX") or environ.get("UV_INDEX_URL")
    if default:
        variables["PIP_INDEX_URL"] = _address(default, environ)
    others = [*environ.get("UV_INDEX", "").split(), *environ.get("UV_EXTRA_INDEX_URL", "").split()]
    lists = {
        "PIP_EXTRA_INDEX_URL": [_address(each, environ) for each in others],
        "PIP_FIND_LINKS": [each.strip() for each in environ.get("UV_FIND_LINKS", "").split(",")],
        "PIP_TRUSTED_HOST": environ.get("UV_INSECURE_HOST", "").split(),
    }
    for name, values in lists.items():
        text = " ".join([*values, *environ.get(name, "").split()]).strip()
        if text:
            variables[name] = text
    if any(environ.get(name, "").lower() not in _FALSE for name in ("UV_NO_INDEX", "UV_OFFLINE")):
        variables["PIP_NO_INDEX"] = "1"
    return variables


def _address(index: str, environ: Mapping[str, str]) -> str:
    """Return the address of one of uv's indexes, with the credentials that variables name for it."""
    found = _NAMED_INDEX.fullmatch(index)
    name, address = (found["name"], found["address"]) if found else (None, index)
    if not name:
        return address
    prefix = f"UV_INDEX_{re.sub(r'[^A-Z0-9]', '_', name.upper())}"
    credentials = [quote(environ.get(f"{prefix}_{what}", ""), safe="") for what in ("USERNAME", "PASSWORD")]
    parts = urlsplit(address)
    if not any(credentials) or "@" in parts.netloc:
        return address
    return urlunsplit(parts._replace(netloc=f"{':'.join(credentials)}@{parts.netloc}"))
