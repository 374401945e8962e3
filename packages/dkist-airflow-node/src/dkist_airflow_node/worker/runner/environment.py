"""An environment of the store."""

from __future__ import annotations

import os

from .errors import CannotRunError
from .store import MARKER, hexdigest, refuse_other_owner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


class Environment:
    """An environment of the store: of one lock (or requirement), one Python and one kind of machine."""

    def __init__(self, store: str, environ: Mapping[str, str]) -> None:
        self.store = store
        self.environ = environ
        self.python = environ.get("DKIST_PYTHON", "")
        if not (self.python.startswith("3.") and self.python[2:].isdecimal() and self.python.isascii()):
            raise CannotRunError(f"DKIST_PYTHON is {self.python!r}, not a version such as 3.12", can_retry=False)
        self.lock = environ.get("DKIST_LOCK", "")
        self.requirement = environ.get("DKIST_REQUIREMENT", "")
        self.origin = self.lock or self.requirement
        self.requirements = self.read_lock() if self.lock else b""
        if not self.origin:
            raise CannotRunError("neither DKIST_LOCK nor DKIST_REQUIREMENT is set", can_retry=False)
        digest = hexdigest(self.requirements or self.requirement.encode())
        self.path = f"{store}/{digest[:32]}-py{self.python}-{os.uname().machine}"

    def read_lock(self) -> bytes:
        """Return the content of the lock, which is the DAG's."""
        try:
            with open(self.lock, "rb") as file:
                content = file.read()
        except OSError as error:
            raise CannotRunError(
                f"the lock {self.lock} cannot be read ({error.strerror}); deploy the release again"
            ) from error
        expected = self.environ.get("DKIST_LOCK_SHA256", "")
        if hexdigest(content) != expected:
            raise CannotRunError(
                f"the lock {self.lock} is not the one of this DAG (its SHA-256 is not {expected!r}); "
                "deploy the release again",
                can_retry=False,
            )
        return content

    def is_usable(self) -> bool:
        """Return whether its build came to its end, and its interpreter is still there."""
        try:
            refuse_other_owner(self.path, os.stat(self.path).st_uid)
            with open(f"{self.path}/{MARKER}", "rb") as file:
                library = file.readline().rstrip(b"\n")
        except OSError:
            return False
        return os.path.isfile(library) and os.access(f"{self.path}/bin/python", os.X_OK)
