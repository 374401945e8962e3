"""Files that stand together."""

from __future__ import annotations

from dkist_build_utils import read_run
from dkist_build_utils.records.file_group import groups_of
from tests.dkist_build_utils.records.conftest import Records, declared


def test_files_of_a_folder_between_the_same_tasks_stand_together(records: Records) -> None:
    """Another user, another folder and another maker make another group; a group is named by what is common."""
    dark = [f"file:///data/level0/dark_{number:04}.fits" for number in range(3)]
    other = ["file:///data/level0/observe.fits", "file:///data/calibration/map.fits"]
    records.add("Parse", [declared("generated", uri, kind="file") for uri in (*dark, *other)])
    records.add("Dark", [declared("used", uri, kind="file") for uri in dark])
    groups = groups_of(read_run(records.folder, check_files=False).items)
    assert [(group.name, group.place, len(group.items), group.makers, group.users) for group in groups] == [
        ("dark_000*.fits", "/data/level0", 3, ("Parse",), ("Dark",)),
        ("observe.fits", "/data/level0", 1, ("Parse",), ()),
        ("map.fits", "/data/calibration", 1, ("Parse",), ()),
    ]


def test_many_folders_are_one_group(records: Records) -> None:
    """A thousand files in a thousand folders are one box."""
    uris = [f"file:///data/{number}/frame.fits" for number in range(1000)]
    records.add("Parse", [declared("generated", uri, kind="file") for uri in uris])
    (group,) = groups_of(read_run(records.folder, check_files=False).items)
    assert (group.place, len(group.items), group.noun) == ("1000 folders", 1000, "files")
    assert group.name == "frame.fits"


def test_names_of_a_group_tell_what_is_common(records: Records) -> None:
    """A name that begins another, and names with nothing in common."""
    uris = ["s3://bucket/a", "s3://bucket/ab", "s3://store/x.fits", "s3://store/y.txt"]
    records.add("Parse", [declared("generated", uri) for uri in uris])
    groups = groups_of(read_run(records.folder).items)
    assert [(group.name, group.noun) for group in groups] == [("a*", "URIs"), ("*", "URIs")]
