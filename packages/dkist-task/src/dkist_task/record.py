"""The record of an attempt: what ran, which inputs and outputs the task declared, and how it ended.

Where ``DKIST_RECORD_FOLDER`` is set, the launcher begins a file of JSON lines for each attempt in that folder. Lines
are only added, each in one write, so no kind of death loses one that was written:

1. what runs, written before the module of the task is imported: ``record`` (the format, 1), ``started``, ``action``,
   ``task``, ``entry_point``, ``workflow``, ``workflow_version``, ``recipe_run_id``, ``try_number``, ``parameters``,
   ``distribution``, ``distributions`` (name to version, everything that the environment holds), ``lock``,
   ``lock_sha256``, ``requirement``, ``python``, ``environment``, ``host``, ``system``, ``processors``,
   ``memory_bytes``, ``process``;
2. a line for each declaration: ``declared`` (``used`` or ``generated``), ``uri``, ``kind`` (``file``, ``folder``,
   ``other``, ``missing``, ``uri``), ``time``, for a file also ``size``, ``modified_ns`` and, on request, ``sha256``;
3. how it ended: ``ended`` and the members of the outcome file but the traceback. An attempt that was killed has no such
   line.

Readers pass over members and lines that they do not know. ``DKIST_RECORD_FILE`` names the file to the processes that
the task starts, so that they can declare, too.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import time
from typing import TYPE_CHECKING

from dkist_task.name import normalized_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dkist_task.identity import TaskIdentity

logger = logging.getLogger(__name__)

FORMAT = 1
"""Raised when a reader of the format before would misread a record."""

FILE_VARIABLE = "DKIST_RECORD_FILE"

BLOCK_BYTES = 1 << 20
"""Bytes that are read at once for a digest."""

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://|urn:|doi:", re.IGNORECASE)
"""How a URI begins. A relative path may hold a colon, so most URIs need an authority to be known as such."""


class Record:
    """A file of JSON lines that is only added to.

    A line that cannot be written is one warning: a task never fails because of its record.

    Parameters
    ----------
    path : str
        The file. Its folder is made when the first line is written.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._file: int | None = None
        self._is_torn = False
        self._has_warned = False

    def append(self, members: Mapping[str, object]) -> None:
        """Add a line in one write: lines of threads and of child processes never mix."""
        import json  # only recorded attempts pay for it

        line = json.dumps(members, default=str).encode() + b"\n"
        if self._is_torn:
            line = b"\n" + line
        try:
            if self._file is None:
                os.makedirs(os.path.dirname(self.path), exist_ok=True)
                self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
            written = os.write(self._file, line)
            self._is_torn = 0 < written < len(line) or (self._is_torn and written == 0)
            if written < len(line):
                raise OSError(f"no room for a line in {self.path}")
        except OSError as error:
            if not self._has_warned:
                self._has_warned = True
                logger.warning("the run record in DKIST_RECORD_FOLDER is not complete: %s", error)


_RECORDS: dict[str, Record] = {}
"""The open records of this process, by path; a task has one."""


def begin_record(
    identity: TaskIdentity, facts: Mapping[str, object], environment: Mapping[str, str], action: str
) -> Record | None:
    """Begin the record of an attempt; return None where ``DKIST_RECORD_FOLDER`` asks for none.

    Parameters
    ----------
    identity : TaskIdentity
        The task and its run.
    facts : mapping
        What the launcher knows besides: entry point, distribution, host.
    environment : mapping
        The variables of the process.
    action : str
        ``run`` or ``rollback``.
    """
    folder = environment.get("DKIST_RECORD_FOLDER", "")
    os.environ.pop(FILE_VARIABLE, None)  # that of the task that started this one
    if not folder.strip():
        return None
    stem = f"{identity.task_name}-{str(identity.recipe_run_id)[:20]}"
    unique = f"{os.uname().nodename}-{os.getpid()}-{time.time_ns()}"
    name = re.sub(r"[^A-Za-z0-9_.-]+", "_", f"{stem}-{unique}")[-200:] + ".jsonl"
    record = Record(os.path.join(os.path.abspath(folder), name))
    record.append(
        {
            "record": FORMAT,
            "started": moment(),
            "action": action,
            "task": identity.task_name,
            "workflow": identity.workflow_name,
            "workflow_version": identity.workflow_version,
            "recipe_run_id": identity.recipe_run_id,
            "try_number": identity.try_number,
            "parameters": dict(identity.parameters),
            "lock": environment.get("DKIST_LOCK") or None,
            "lock_sha256": environment.get("DKIST_LOCK_SHA256") or None,
            "requirement": environment.get("DKIST_REQUIREMENT") or None,
            "python": ".".join(map(str, sys.version_info[:3])),
            "environment": sys.prefix,
            "process": os.getpid(),
            **facts,
            "distributions": installed_distributions(),
        }
    )
    _RECORDS[record.path] = record
    os.environ[FILE_VARIABLE] = record.path
    return record


def declare(direction: str, path_or_uri: str | os.PathLike[str], *, sha256: bool) -> None:
    """Add to the record that a task has used or generated a file, a folder or what a URI names.

    Does nothing but check the arguments where no record is kept.

    Raises
    ------
    TypeError
        `path_or_uri` is neither a text nor a path.
    ValueError
        It is empty, or holds a NUL character.
    """
    text = os.fsdecode(os.fspath(path_or_uri))
    if not text or "\0" in text:
        raise ValueError(f"{direction} needs a path or a URI, not {text!r}")
    path = os.environ.get(FILE_VARIABLE)
    if not path:
        return
    if path not in _RECORDS:  # a process that the task has started
        _RECORDS[path] = Record(path)
    _RECORDS[path].append({"declared": direction, "time": moment(), **description_of(text, sha256=sha256)})


def description_of(text: str, *, sha256: bool) -> dict[str, object]:
    """Return what a record says of a path or a URI: ``uri``, ``kind``, and of a file its size, time and digest."""
    if is_uri(text):
        local = path_of_file_uri(text)
        if local is None:
            return {"uri": coded(without_password(text), rb"[^!-~]"), "kind": "uri"}
        text = local
    path = os.path.abspath(text)
    known: dict[str, object] = {"uri": file_uri(path)}
    try:
        found = os.stat(path)
    except OSError:
        return known | {"kind": "missing"}
    kind = found.st_mode & 0o170000
    if kind != 0o100000:
        return known | {"kind": "folder" if kind == 0o040000 else "other"}
    known |= {"kind": "file", "size": found.st_size, "modified_ns": found.st_mtime_ns}
    if sha256:
        try:
            known["sha256"] = sha256_of(path)
        except OSError as error:
            logger.warning("the digest of %s is not recorded: %s", path, error)
    return known


def is_uri(text: str) -> bool:
    """Return whether a text is a URI and not a path.

    Examples
    --------
    >>> [is_uri(text) for text in ("s3://bucket/key", "doi:10.1000/182", "frame:1.fits", "/data/frame.fits")]
    [True, True, False, False]
    """
    return _URI.match(text) is not None


def path_of_file_uri(uri: str) -> str | None:
    """Return the path that a ``file:`` URI of this host names, None for every other URI."""
    found = re.fullmatch(r"file://(?:localhost)?(/[^?#]*)", uri, re.IGNORECASE)
    if found is None:
        return None
    # A path has no NUL, so that one stays coded.
    plain = re.sub(rb"%(?!00)([0-9A-Fa-f]{2})", lambda byte: bytes([int(byte[1], 16)]), os.fsencode(found[1]))
    return os.fsdecode(plain)


def file_uri(path: str) -> str:
    """Return the URI of an absolute path, whatever bytes its names have.

    Examples
    --------
    >>> file_uri("/data/a b#1.fits")
    'file:///data/a%20b%231.fits'
    """
    return f"file://{coded(path, rb'[^A-Za-z0-9_.~/-]')}"


def coded(text: str, unsafe: bytes) -> str:
    """Return a text with percent signs and two digits in place of each byte that is unsafe."""
    return re.sub(unsafe, lambda byte: b"%%%02X" % byte[0][0], os.fsencode(text)).decode("ascii")


def without_password(uri: str) -> str:
    """Return a URI without the password in it.

    Examples
    --------
    >>> without_password("https://me:secret@host/frame")
    'https://me@host/frame'
    """
    return re.sub(r"^([A-Za-z][A-Za-z0-9+.-]*://[^/?#:@]*):[^/?#]*@", r"\1@", uri)


def sha256_of(path: str) -> str:
    """Return the SHA-256 of a file, read block by block.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    import hashlib  # only who asks for a digest pays for it

    digest = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def installed_distributions() -> dict[str, str]:
    """Return names and versions of the installed distributions, from the names of their metadata folders.

    `importlib.metadata` would take longer to import than the launcher takes to start; the names of the folders are
    specified at https://packaging.python.org/en/latest/specifications/recording-installed-packages/.
    """
    found: dict[str, str] = {}
    for folder in dict.fromkeys(sys.path):
        try:
            names = os.listdir(folder or ".")
        except OSError:
            continue
        for entry in names:
            if entry.endswith(".dist-info"):
                name, _, version = entry.removesuffix(".dist-info").partition("-")
                found.setdefault(normalized_name(name), version)
    return dict(sorted(found.items()))


def moment() -> str:
    """Return the time, ISO 8601, UTC, to a millisecond."""
    now = time.time_ns()
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now // 10**9))}.{now // 10**6 % 1000:03d}Z"
