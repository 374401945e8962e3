"""Every task is imported in an environment made from its lock alone."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from dkist_build_utils import FaultsError, export
from harness.packages import Package
from tests.dkist_build_utils.conftest import ONE_LOCK, TASKS, WORKFLOW, Install, contents, instrument


def test_lock_that_lacks_a_requirement_is_not_kept(install: Install, wheels: Path, tmp_path: Path) -> None:
    """A lock from which a requirement was removed is refused."""
    package = instrument(**ONE_LOCK)
    package.write_wheel(wheels)
    name = f"{install(package)}.workflows"
    folder = export(name, tmp_path / "out", version="1.0.0", find_links=[wheels])
    lock = folder / "requirements.txt"
    start = lock.read_text().index("opentelemetry-exporter-otlp-proto-http==")
    end = lock.read_text().index("\nopentelemetry-proto==")
    lock.write_text(lock.read_text()[:start] + lock.read_text()[end + 1 :])
    with pytest.raises(
        FaultsError, match=r"(?s)lacks something; --upgrade-locks: .*opentelemetry-exporter-otlp-proto-http"
    ):
        export(name, tmp_path / "out", version="1.0.0", find_links=[wheels])


def test_task_is_proven_in_its_environment(install: Install, wheels: Path, tmp_path: Path) -> None:
    """A module that is missing from the wheel is found although it can be imported here."""
    package = instrument(tasks=f"import {{package}}.forgotten{TASKS}", forgotten="", **ONE_LOCK)
    name = install(package)
    modules = {module: text for module, text in package.modules.items() if module != "forgotten"}
    Package(package.name, package.version, modules, package.dependencies, package.extras).write_wheel(wheels)
    with pytest.raises(FaultsError, match=rf"'Parse': in an environment made from .*imports '{name}\.forgotten'"):
        export(f"{name}.workflows", tmp_path / "out", version="1.0.0", find_links=[wheels])
    assert not (tmp_path / "out").exists()


def test_proof_of_the_same_lock_is_not_made_again(
    install: Install, wheels: Path, tmp_path: Path, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The same release is made again without an environment, with the same bytes; without the cache it is proven."""
    package = instrument()
    package.write_wheel(wheels)
    name = f"{install(package)}.workflows"
    caplog.set_level("INFO", "dkist_build_utils")
    first = contents(export(name, tmp_path / "a", version="1.0.0", find_links=[wheels]))
    assert "was proven before" not in caplog.text
    assert contents(export(name, tmp_path / "a", version="1.0.0", find_links=[wheels])) == first
    assert contents(export(name, tmp_path / "b", version="1.0.0", find_links=[wheels])) == first
    assert caplog.text.count("was proven before") == 4
    shutil.rmtree(cache)
    assert contents(export(name, tmp_path / "c", version="1.0.0", find_links=[wheels])) == first
    assert caplog.text.count("was proven before") == 4


def test_second_environment_has_nothing_that_its_lock_lacks(install: Install, wheels: Path, tmp_path: Path) -> None:
    """What the first environment held and the second one does not cannot be imported in it, not even as a folder."""
    Package("only-first", "1.0.0", modules={"__init__": ""}).write_wheel(wheels)
    late = TASKS.replace("from dkist_task", "import only_first\nfrom dkist_task")
    package = instrument(
        tasks=TASKS, late=late, **{"workflows.main": WORKFLOW.replace("import Assemble, Calibrate", "import Calibrate")}
    )
    text = package.modules["workflows.main"].replace(
        "\nmain = ", f"\nfrom {package.import_name}.late import Assemble\nmain = "
    )
    text = text.replace("main.add_node(task=Parse)", "main.add_node(task=Parse, pip_extras=['a'])")
    text = text.replace("resource_queue=", "pip_extras=['a'], resource_queue=")
    modules = {**package.modules, "workflows.main": text}
    package = replace(package, modules=modules, extras={"a": ["only-first"], "quality": []})
    package.write_wheel(wheels)
    name = f"{install(package)}.workflows"
    (tmp_path / "site" / "only_first.py").write_text("")  # it can be imported here
    with pytest.raises(FaultsError, match=r"requirements\.quality\.txt, .*imports 'only_first'"):
        export(name, tmp_path / "out", version="1.0.0", find_links=[wheels])
