"""What a release is and what an environment of it is for, and the names that both give to files."""

from __future__ import annotations

import re
from dataclasses import dataclass

from dkist_build_utils.errors import BuildError
from dkist_workflow import DEVELOPMENT_VERSION

_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,254}")
_PYTHON = re.compile(r"3\.[0-9]{1,3}")


def is_plain_name(text: str) -> bool:
    """Return whether a name means the same to every file system, shell and person."""
    return _PLAIN_NAME.fullmatch(text) is not None


@dataclass(frozen=True)
class ReleaseIdentity:
    """Which release of which distribution, for which workers.

    Raises
    ------
    BuildError
        The Python is not written as ``X.Y``.
    """

    distribution: str
    """The instrument distribution, normalised."""
    version: str
    """The version of every workflow of the release."""
    python: str
    """The Python of the workers, ``X.Y``."""
    python_platform: str | None
    """The platform of the workers, as uv names it; None for that of the machine that made the locks."""

    def __post_init__(self) -> None:
        if not _PYTHON.fullmatch(self.python):
            raise BuildError(
                f"the Python of the workers must be a version 3.Y, for example 3.11 or 3.13, not {self.python!r:.80}"
            )

    @property
    def folder_name(self) -> str:
        """The name of the release folder."""
        return f"{self.distribution}_{self.version}"

    @property
    def is_development(self) -> bool:
        """Whether the environments hold whatever wheel there is."""
        return self.version == DEVELOPMENT_VERSION

    @property
    def workers(self) -> str:
        """Python and platform of the workers, for messages."""
        return f"Python {self.python}" + (f" on {self.python_platform}" if self.python_platform else "")


@dataclass(frozen=True)
class LockRequest:
    """What one lock of a release must hold."""

    release: ReleaseIdentity
    """The release."""
    extras: tuple[str, ...]
    """Extras of the distribution: normalised, sorted."""

    @property
    def file_name(self) -> str:
        """The name of the lock in the release folder."""
        return ".".join(["requirements", *filter(None, ["+".join(self.extras)]), "txt"])

    @property
    def name(self) -> str:
        """The distribution with its extras."""
        distribution = self.release.distribution
        return f"{distribution}[{','.join(self.extras)}]" if self.extras else distribution
