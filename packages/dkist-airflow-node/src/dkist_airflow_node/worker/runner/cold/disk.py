"""What to say where the store cannot be written to."""

from __future__ import annotations

import errno
import os

from ..errors import CannotRunError

FULL = (errno.ENOSPC, errno.EDQUOT)


def cannot_write(place: str, error: OSError) -> CannotRunError:
    """Return the error that names the place and says how to fix it."""
    return CannotRunError(f"cannot write to {place}: {error.strerror}{remedy(place, error.strerror or '')}")


def remedy(place: str, words: str) -> str:
    """Return how to fix a full disk; nothing where the words of an error speak of something else."""
    if not any(os.strerror(number) in words for number in FULL):
        return ""
    return (
        f"; free space on the disk of {place} ('dkist-airflow-node environments prune' removes environments that no "
        "task uses), or set DKIST_ENVIRONMENT_STORE to a folder on another disk"
    )


def refusal(folder: str) -> str:
    """Return why nothing can be written to a folder, and how to fix it; nothing where it can."""
    path = f"{folder}/{os.urandom(8).hex()}"  # of no file that the task may have put there
    try:
        with open(path, "xb") as file:
            file.write(bytes(4096))  # a full disk takes the name, but no content
        os.unlink(path)
    except OSError as error:
        return str(cannot_write(folder, error))
    return ""
