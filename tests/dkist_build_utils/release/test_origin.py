"""What the build was given never loses to an index, and the manifest says what came from where."""

from __future__ import annotations

import json
import logging
import os
import shutil
from pathlib import Path

import pytest

from dkist_build_utils import BuildError, FaultsError, archive, deploy, export
from dkist_build_utils.release.origin import Origin, check_origins, grouped, ungrouped, without_annotations
from harness.packages import Package
from tests.dkist_build_utils.conftest import ONE_LOCK, Install, instrument


def publish(index: Path, package: Package) -> None:
    """Put the wheel of a package on the index."""
    package.write_wheel(index / package.name)


@pytest.mark.parametrize("version", ["99.0", "0.1.0"], ids=["higher", "same"])
def test_index_never_wins_over_a_folder(
    install: Install, wheels: Path, index: Path, tmp_path: Path, version: str
) -> None:
    """A stranger's dkist-task on an index is not taken, whatever its version, if the build has its own."""
    package = instrument(**ONE_LOCK)
    helper = f"helper-of-{package.name}"
    package = Package(package.name, package.version, package.modules, ["dkist-task", helper], package.extras)
    package.write_wheel(wheels)
    base = Package("dkist-task", version, modules={"__init__": "raise SystemExit"}, extras={"otlp": []})
    publish(index, base)
    publish(index, Package(package.name, "1.0.0", modules={"tasks": "evil = 1"}))
    publish(index, Package(helper, "1.0.0"))
    folder = export(f"{install(package)}.workflows", tmp_path / "out", version="1.0.0", find_links=[wheels])
    origins = json.loads((folder / "manifest.json").read_text())["origins"]
    assert origins["find-links"] == ["dkist-task==0.1.0", f"{package.name}==1.0.0"]
    assert [place for place, pins in origins.items() if f"{helper}==1.0.0" in pins] == [os.environ["UV_INDEX"]]
    again = export(f"{install(package)}.workflows", tmp_path / "out", version="1.0.0", find_links=[wheels])
    assert json.loads((again / "manifest.json").read_text())["origins"] == origins


def test_index_that_wins_over_the_variable_is_warned_of(
    install: Install,
    wheels: Path,
    index: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """UV_FIND_LINKS only offers wheels: a higher dkist-task of an index is taken, and a warning says so."""
    package = instrument(**ONE_LOCK)
    package.write_wheel(wheels)
    publish(index, Package("dkist-task", "99.0", modules={"__init__": "class TaskBase: ..."}, extras={"otlp": []}))
    monkeypatch.setenv("UV_FIND_LINKS", str(wheels))
    name = f"{install(package)}.workflows"
    export(name, tmp_path / "out", version="1.0.0")
    assert f"dkist-task 99.0 comes from {os.environ['UV_INDEX']}, although UV_FIND_LINKS has 0.1.0" in caplog.text
    caplog.clear()
    export(name, tmp_path / "out", version="1.0.0", find_links=[wheels], upgrade_locks=True)
    assert "although" not in caplog.text


def test_folder_that_cannot_serve_is_an_error(install: Install, wheels: Path, index: Path, tmp_path: Path) -> None:
    """If only the index has the version that is required, the export fails and says what is required."""
    package = instrument(**ONE_LOCK)
    package = Package(package.name, package.version, package.modules, ["dkist-task", "helper>=2"], package.extras)
    package.write_wheel(wheels)
    Package("helper", "1.0").write_wheel(wheels)
    publish(index, Package("helper", "2.0"))
    with pytest.raises(FaultsError, match=r"(?s)helper>=2.*--find-links holds helper==1\.0, and no other"):
        export(f"{install(package)}.workflows", tmp_path / "out", version="1.0.0", find_links=[wheels])


def test_version_between_those_of_a_folder_is_refused(wheels: Path) -> None:
    """With several versions in a folder, one of an index between them is not taken for one of them."""
    for version in ("1.0", "3.0"):
        Package("helper", version).write_wheel(wheels)
    check_origins([Origin("find-links", "helper", "3.0")], [wheels])
    with pytest.raises(BuildError, match=r"helper 2\.0 would come from https://i/, although --find-links has 1\.0, 3"):
        check_origins([Origin("https://i/", "helper", "2.0")], [wheels])


def test_annotations_leave_no_trace() -> None:
    """The lock is what it is without annotations; addresses lose credentials, folders their path."""
    text = (
        "a==1 \\\n    --hash=sha256:00\n    # from https://user:secret@host/simple?key=1\n"
        "b[x]==2 \\\n    --hash=sha256:11 \\\n    --hash=sha256:22\n    # from file:///home/me/wheels\n"
    )
    plain, origins = without_annotations(text)
    assert plain == "a==1 \\\n    --hash=sha256:00\nb[x]==2 \\\n    --hash=sha256:11 \\\n    --hash=sha256:22\n"
    assert origins == (Origin("https://host/simple", "a", "1"), Origin("find-links", "b", "2"))
    assert set(ungrouped(grouped(origins))) == set(origins)


def test_locks_of_another_platform_are_warned_of(
    install: Install, offline: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Locks that were made on a Mac without --python-platform are warned of when exported again and when deployed."""
    package = instrument(**ONE_LOCK)
    package.write_wheel(offline)
    name = f"{install(package)}.workflows"
    folder = export(name, tmp_path / "out", version="1.0.0")
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["locked_on"].startswith("linux-")
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    (folder / "manifest.json").write_text(json.dumps(manifest | {"locked_on": "darwin-arm64"}))
    with caplog.at_level(logging.WARNING):
        deploy(archive(folder), dags_folder(tmp_path), airflow=False)
        assert "was locked on darwin-arm64 without --python-platform" in caplog.text
        export(name, tmp_path / "out", version="1.0.0")
        assert "the locks are for darwin-arm64, where they were made, and workers run Linux" in caplog.text
    assert json.loads((folder / "manifest.json").read_text())["locked_on"] == "darwin-arm64"
    shutil.rmtree(folder)
    export(name, tmp_path / "out", version="1.0.0", python_platform="linux")
    assert "locked_on" not in json.loads((folder / "manifest.json").read_text())


def dags_folder(parent: Path) -> Path:
    """Return an empty dags folder."""
    folder = parent / "airflow" / "dags"
    folder.mkdir(parents=True)
    return folder
