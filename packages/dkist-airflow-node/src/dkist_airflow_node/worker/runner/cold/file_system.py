"""The file system of the store: locks do not hold on every one."""

from __future__ import annotations

import os

from ..errors import CannotRunError

NETWORK_FILE_SYSTEMS = (
    *("nfs", "smb", "cifs", "afs", "ceph", "lustre", "gpfs", "panfs", "beegfs", "orangefs", "9p", "virtiofs", "fuse"),
    *("acfs", "ocfs2", "gfs2", "coda"),
)
LOCAL_FUSE = ("fuse.fuse-overlayfs",)


def file_system_type(path: str, mounts: str) -> str:
    """Return the type of the file system that holds an absolute path, by the text of /proc/self/mountinfo."""
    best = found = ""
    for line in mounts.splitlines():
        fields, _, rest = line.partition(" - ")
        point = fields.split()[4]
        for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
            point = point.replace(code, character)
        if len(point) >= len(best) and (path + "/").startswith(point.rstrip("/") + "/"):
            best, found = point, rest.split()[0]
    return found


def refuse_network_file_system(store: str) -> None:
    """Raise CannotRunError where locks may not hold."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        kind = file_system_type(os.path.realpath(store), file.read())
    if kind.startswith(NETWORK_FILE_SYSTEMS) and kind not in LOCAL_FUSE:
        raise CannotRunError(
            f"the environment store {store} is on a network file system ({kind}), where locks do not hold; "
            "set DKIST_ENVIRONMENT_STORE to a local folder"
        )
