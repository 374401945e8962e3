"""What an instrument package may be called: one name for the distribution, the import and the variable."""

from __future__ import annotations

import keyword
import re
import sys
import unicodedata
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec

from dkist_build_utils.errors import BuildError

LONGEST = 50
"""Characters: with a longer name, lines of the new package would be longer than its own lint allows."""

_NAME = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
_RESERVED = ("src", "tests")
"""Folders of the new package, which pytest puts on the path of imports."""


@dataclass(frozen=True)
class PackageName:
    """The name of a new instrument package."""

    distribution: str
    """What is installed: lower-case words with hyphens between, as an index normalises names."""

    @property
    def import_name(self) -> str:
        """What is imported."""
        return self.distribution.replace("-", "_")

    @property
    def variable(self) -> str:
        """The beginning of its environment variables."""
        return self.import_name.upper()

    @classmethod
    def of(cls, text: str) -> PackageName:
        """Return the name that a person typed; underscores count as hyphens.

        Parameters
        ----------
        text : str
            The name.

        Raises
        ------
        BuildError
            No package can have the name, or another one has it; the message proposes one that is free.

        Examples
        --------
        >>> PackageName.of("my_instrument")
        PackageName(distribution='my-instrument')
        """
        name = cls(text.replace("_", "-"))
        objection = name.objection()
        if objection is not None:
            raise BuildError(f"{text!r} cannot be the name of a package: {objection}; {_proposal(text)!r} would do")
        return name

    def objection(self) -> str | None:
        """Return why no new package can have the name; None if one can."""
        if not _NAME.fullmatch(self.distribution):
            return "it must be lower-case letters of English, digits and single hyphens, with a letter first"
        if len(self.distribution) > LONGEST:
            return f"it has {len(self.distribution)} characters, and at most {LONGEST} are possible"
        owner = self._owner()
        return None if owner is None else f"{self.import_name!r} is {owner}"

    def _owner(self) -> str | None:
        """Return what has the name already; None if it is free."""
        module = self.import_name
        if keyword.iskeyword(module):
            return "a keyword of Python"
        if module in sys.stdlib_module_names:
            return "a module of Python's standard library"
        if module in _RESERVED:
            return "a folder of every instrument package"
        spec = find_spec(module)
        if spec is not None:
            return f"an installed module ({spec.origin or 'a folder on the path of imports'})"
        return "an installed distribution" if _is_distribution(self.distribution) else None


def _is_distribution(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


def _proposal(text: str) -> str:
    """Return a name like a text that a new package can have."""
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    words = "-".join(re.findall(r"[a-z0-9]+", ascii_text))
    short = words[:LONGEST].rstrip("-")
    long = words[: LONGEST - len("instrument-")].strip("-")
    candidates = [short, f"{long}-instrument", f"instrument-{long}", "my-instrument", "my-new-instrument"]
    return next((name for name in candidates if PackageName(name).objection() is None), "my-own-instrument")
