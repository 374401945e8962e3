"""The environment store: where it is, what is in it, and whose it is."""

from __future__ import annotations

import fcntl
import os

from .errors import CannotRunError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

# The store: <first 32 hex digits of the digest>-py<X.Y>-<machine>/, a lock beside each, and the attempts.
MARKER = ".complete"
"""Written last into an environment: the path of its interpreter's os.py, then what the environment was built for."""
LOCK_SUFFIX = ".lock"
"""The lock is shared to use an environment, exclusive to build or remove it. Its time is that of the last use."""
ATTEMPTS = "attempts"
BUILD_FAILED = "failed"
"""What a lock says to those that waited for a build."""
LOOK_SECONDS = 0.1
"""How often a lock that somebody else holds is tried."""


def store_folder(environ: Mapping[str, str]) -> str:
    """Return the folder of the environment store."""
    cache = environ.get("XDG_CACHE_HOME") or (environ["HOME"] + "/.cache" if environ.get("HOME") else "")
    store = environ.get("DKIST_ENVIRONMENT_STORE") or (cache and cache + "/dkist/environments")
    if not store:
        raise CannotRunError(
            "set DKIST_ENVIRONMENT_STORE to the absolute path of the environment store: HOME is not set",
            can_retry=False,
        )
    if not store.startswith("/"):
        raise CannotRunError(
            f"the environment store {store} is not an absolute path; set DKIST_ENVIRONMENT_STORE to one",
            can_retry=False,
        )
    return store.rstrip("/")


def open_store(store: str) -> None:
    """Make the store where it is missing; refuse one that is not this user's alone, or on a network file system."""
    try:
        os.makedirs(store, 0o755, exist_ok=True)
        status = os.stat(store)
    except OSError as error:
        from .cold.disk import cannot_write

        raise cannot_write(f"the environment store {store}", error) from error
    refuse_other_owner(store, status.st_uid)
    if status.st_mode & 0o022:
        raise CannotRunError(
            f"the environment store {store} can be written to by others than its owner (mode "
            f"{status.st_mode & 0o7777:o}), who could change what tasks run; take that away with 'chmod go-w {store}', "
            "or set DKIST_ENVIRONMENT_STORE"
        )


def refuse_other_owner(path: str, owner: int) -> None:
    """Raise CannotRunError for what another user put there."""
    if owner != os.geteuid():
        import pwd

        def name(uid: int) -> str:
            try:
                return pwd.getpwuid(uid).pw_name
            except KeyError:
                return str(uid)

        raise CannotRunError(
            f"{path} belongs to the user {name(owner)}, but this is {name(os.geteuid())}: a store serves one user; run "
            "it as the user that runs the tasks, or set DKIST_ENVIRONMENT_STORE to a folder of this user"
        )


def hexdigest(content: bytes) -> str:
    """Return the SHA-256 of some bytes."""
    for name in ("_sha2", "_sha256", "hashlib"):  # from 3.12 on, before, and always
        try:
            return str(__import__(name).sha256(content).hexdigest())
        except ImportError:
            continue
    raise AssertionError


def take_lock(descriptor: int, kind: int) -> bool:
    """Take a lock, unless somebody else holds it; return whether it was taken."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
