"""What a release is for, and the names that follow from it."""

from __future__ import annotations

import pytest

from dkist_build_utils import BuildError
from dkist_build_utils.release.identity import LockRequest, ReleaseIdentity, is_plain_name


def make_identity(**changes: str) -> ReleaseIdentity:
    """Return the identity of a release."""
    values: dict[str, str | None] = {
        "distribution": "dkist-processing-vbi",
        "version": "2.1.0",
        "python": "3.11",
        "python_platform": None,
    }
    return ReleaseIdentity(**(values | changes))  # type: ignore[arg-type]


def test_names_of_a_release_and_its_locks() -> None:
    """Folder, lock and requirement are named after distribution, version and extras."""
    release = make_identity()
    assert release.folder_name == "dkist-processing-vbi_2.1.0"
    bare, extras = LockRequest(release, ()), LockRequest(release, ("movie", "quality"))
    assert (bare.file_name, bare.name) == ("requirements.txt", "dkist-processing-vbi")
    assert (extras.file_name, extras.name) == ("requirements.movie+quality.txt", "dkist-processing-vbi[movie,quality]")


def test_workers_are_named_with_their_platform() -> None:
    """A message names the Python, and the platform where it is not this machine's."""
    assert make_identity().workers == "Python 3.11"
    assert make_identity(python_platform="linux").workers == "Python 3.11 on linux"


def test_only_dev_is_a_development_version() -> None:
    """A development release of PEP 440 is a release."""
    assert make_identity(version="dev").is_development
    assert not make_identity(version="2.1.0.dev1").is_development


@pytest.mark.parametrize("python", ["3", "3.11.4", "2.7", "3.x", " 3.11", "3.11\n", "--index-url=x"])
def test_python_that_is_not_a_minor_version_is_refused(python: str) -> None:
    """It becomes an argument of uv, so nothing else may be in it."""
    with pytest.raises(BuildError, match=r"must be a version 3\.Y, for example 3\.11 or 3\.13, not"):
        make_identity(python=python)


@pytest.mark.parametrize(
    ("name", "is_plain"),
    [
        ("requirements.movie+quality.txt", True),
        ("_a", True),
        ("a" * 255, True),
        ("a" * 256, False),
        (".hidden", False),
        ("-option", False),
        ("a/b", False),
        ("a b", False),
        ("é", False),
        ("a\n", False),
        ("", False),
    ],
)
def test_plain_names(name: str, is_plain: bool) -> None:
    """A plain name is no path, no option and not hidden."""
    assert is_plain_name(name) is is_plain
