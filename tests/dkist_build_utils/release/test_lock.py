"""Locks: how they are resolved, and which existing ones are kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

from dkist_build_utils import FaultsError, export
from dkist_build_utils.release import locked_pins
from harness.packages import Package
from tests.dkist_build_utils.conftest import ONE_LOCK, Install, contents, instrument


def test_lock_of_another_release_is_not_kept(install: Install, wheels: Path, tmp_path: Path) -> None:
    """A lock that does not hold this version is a fault that says so, until an upgrade is asked for."""
    package = instrument(**ONE_LOCK)
    package.write_wheel(wheels)
    name = f"{install(package)}.workflows"
    folder = export(name, tmp_path / "out", version="1.0.0", find_links=[wheels])
    lock = folder / "requirements.txt"
    lock.write_text(lock.read_text().replace(f"{package.name}==1.0.0", f"{package.name}==0.9.0"))
    before = contents(folder)
    with pytest.raises(
        FaultsError,
        match=r"requirements\.txt: it is not a lock for this release.* 0\.9\.0, not 1\.0\.0; .*--upgrade-locks",
    ):
        export(name, tmp_path / "out", version="1.0.0", find_links=[wheels])
    assert contents(folder) == before
    export(name, tmp_path / "out", version="1.0.0", find_links=[wheels], upgrade_locks=True)
    assert f"{package.name}==1.0.0" in lock.read_text()


def test_dev_locks_the_wheel_that_was_built(install: Install, wheels: Path, tmp_path: Path) -> None:
    """A development release takes the newest wheel found, which may be a development version."""
    package = instrument("1.1.dev3", **ONE_LOCK)
    package.write_wheel(wheels)
    folder = export(f"{install(package)}.workflows", tmp_path, find_links=[wheels])
    assert folder.name == f"{package.name}_dev"
    assert f"{package.name}==1.1.dev3" in (folder / "requirements.txt").read_text()


def test_rebuilt_dev_wheel_asks_for_an_upgrade(install: Install, wheels: Path, tmp_path: Path) -> None:
    """A wheel with other bytes under the same version does not pass for the one that is locked."""
    package = instrument("1.1.dev3", **ONE_LOCK)
    package.write_wheel(wheels)
    name = install(package)
    export(f"{name}.workflows", tmp_path, find_links=[wheels])
    Package(
        package.name, "1.1.dev3", {**package.modules, "more": "X = 1"}, package.dependencies, package.extras
    ).write_wheel(wheels)
    with pytest.raises(FaultsError, match=r"whl has other bytes than the wheel that it locks; .*--upgrade-locks"):
        export(f"{name}.workflows", tmp_path, find_links=[wheels])


@pytest.mark.parametrize("is_built", [True, False], ids=["other-version", "no-wheel"])
def test_missing_wheel_is_reported_once(install: Install, wheels: Path, tmp_path: Path, *, is_built: bool) -> None:
    """If the wheel was not built, one line says which, and what the folder of wheels holds instead."""
    package = instrument("1.0.0")
    if is_built:
        package.write_wheel(wheels)
    held = "1.0.0" if is_built else "no wheel of it"
    with pytest.raises(FaultsError) as caught:
        export(f"{install(package)}.workflows", tmp_path / "out", version="2.0", find_links=[wheels])
    (fault,) = caught.value.faults
    assert str(fault) == (
        f"{package.name}_2.0: the wheel of {package.name} 2.0 is not there: '{wheels}' holds {held}, and the index has "
        "no other; build it first"
    )
    assert not (tmp_path / "out").exists()


def test_requirement_without_a_wheel_is_refused(install: Install, wheels: Path, tmp_path: Path) -> None:
    """A requirement that exists as source only is refused: building it would run its code on the worker."""
    package = instrument(**ONE_LOCK)
    source_only = Package(
        package.name, package.version, package.modules, ["dkist-task", "docopt==0.6.2"], package.extras
    )
    source_only.write_wheel(wheels)
    with pytest.raises(FaultsError, match=r"docopt==0\.6\.2 has no usable wheels"):
        export(f"{install(source_only)}.workflows", tmp_path / "out", version="1.0.0", find_links=[wheels])
    assert not (tmp_path / "out").exists()


def test_wheel_of_a_local_version_is_not_the_release(install: Install, wheels: Path, tmp_path: Path) -> None:
    """A wheel of 1.0.0+patched satisfies ==1.0.0 and is another version all the same."""
    package = instrument("1.0.0+patched", **ONE_LOCK)
    package.write_wheel(wheels)
    with pytest.raises(FaultsError, match=r"it holds .* 1\.0\.0\+patched, not 1\.0\.0"):
        export(f"{install(package)}.workflows", tmp_path / "out", version="1.0.0", find_links=[wheels])
    assert not (tmp_path / "out").exists()


def test_local_version_can_be_locked() -> None:
    """A client may be released as ``14.8.0+dkist``, which fits the pin ``== 14.8.0`` of another."""
    content = f"common==14.8.0+dkist --hash=sha256:{'0' * 64}\n".encode()
    assert locked_pins(content)["common"].version == "14.8.0+dkist"
    assert SpecifierSet("==14.8.0").contains("14.8.0+dkist")
