"""Every task is imported in an environment made from its lock alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from dkist_build_utils import FaultsError, export
from harness.packages import Package
from tests.dkist_build_utils.conftest import ONE_LOCK, TASKS, Install, instrument


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
