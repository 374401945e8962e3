"""Which deployed versions hold a distribution."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dkist_build_utils import BuildError, holdings
from dkist_build_utils.deployment import UnknownVersion
from tests.dkist_build_utils.deployment.conftest import write_version


def found(dags: Path, requirement: str) -> dict[str, str]:
    """Return the version of what was asked for by the deployed version."""
    return {each.name: each.version for each in holdings(dags, requirement).found}


def test_versions_that_hold_a_distribution(dags: Path) -> None:
    """Versions are compared as Python's packages are, pre-releases included; names in any spelling."""
    for name, pin in {
        "a_1": "numpy==1.26.4",
        "a_2": "numpy==2.0rc1",
        "a_3": "numpy==2.10.0",
        "b_1": "numpy-x==1",
    }.items():
        write_version(dags, name, [pin, "zarr==3.1"])
    assert found(dags, "numpy<2") == {"a_1": "1.26.4"}
    assert found(dags, "numpy==2.0rc1") == {"a_2": "2.0rc1"}
    assert found(dags, "NumPy>=2.9") == {"a_3": "2.10.0"}
    assert found(dags, "numpy") == {"a_1": "1.26.4", "a_2": "2.0rc1", "a_3": "2.10.0"}
    assert found(dags, "Numpy.X") == {"b_1": "1"}
    assert found(dags, "scipy") == {}


def test_versions_of_unknown_content_are_named(dags: Path) -> None:
    """Without a lock, with one that is broken or missing, or with a newer manifest, nobody knows what is held."""
    write_version(dags, "none_1", None)
    write_version(dags, "open_1", ["numpy>=2"])
    write_version(dags, "odd_1", ["numpy==first"])
    (write_version(dags, "gone_1", ["numpy==2"]) / "requirements.txt").unlink()
    newer = write_version(dags, "newer_1", ["numpy==2"]) / "manifest.json"
    newer.write_text(json.dumps(json.loads(newer.read_text()) | {"schema": 2}))
    write_version(dags, "good_1", ["numpy==2"])
    answer = holdings(dags, "numpy")
    assert [each.name for each in answer.found] == ["good_1"]
    reasons = {each.name: each.reason for each in answer.unknown}
    assert reasons.keys() == {"gone_1", "newer_1", "none_1", "odd_1", "open_1"}
    assert reasons["none_1"] == "it was released without locks"
    assert reasons["gone_1"] == "a lock is missing"
    assert "made by a newer version" in reasons["newer_1"]
    assert UnknownVersion("none_1", "it was released without locks") in answer.unknown


@pytest.mark.parametrize("text", ["", "numpy<", "numpy[x]", "numpy; python_version > '3'", "numpy @ file:///a"])
def test_question_that_is_none_is_refused(dags: Path, text: str) -> None:
    """Only a distribution and its versions can be asked for."""
    with pytest.raises(BuildError, match="numpy<2"):
        holdings(dags, text)


def test_answer_comes_at_once_for_500_versions(dags: Path) -> None:
    """With 500 versions of thirty tasks and 150 locked distributions, the answer takes less than a second."""
    pins = [f"package-{number}=={number}.0" for number in range(149)]
    for number in range(500):
        write_version(dags, f"a_{number}", [*pins, f"numpy=={1 + number % 2}.0"], hashes=20)
    started = time.process_time()
    assert len(found(dags, "numpy<2")) == 250
    taken = time.process_time() - started
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "dkist_build_utils",
        "list",
        "--dags-folder",
        dags,
        "--holds",
        "numpy<2",
        "--json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert len(json.loads(done.stdout)["found"]) == 250
    assert taken < 1  # seconds of the processor, 0.33 when this was written: the machine may be shared


def test_requirement_that_is_none(tmp_path: Path) -> None:
    """What is wrong with it takes one line."""
    with pytest.raises(BuildError, match=r"^'numpy<' is not a requirement such as 'numpy<2': [^\n]+$"):
        holdings(tmp_path, "numpy<")
