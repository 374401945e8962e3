"""Questions to a real Airflow, by the program `airflow_program`."""

from __future__ import annotations

from pathlib import Path


def test_what_a_real_airflow_refuses_is_a_fault(tmp_path: Path) -> None:
    """A file that Airflow refuses is reported with Airflow's message, and so is one without a DAG."""
    from dkist_build_utils.programs import load_errors

    bad = b"from airflow.sdk import DAG\ndag = DAG('a b')\n"
    errors = load_errors(
        {"bad.py": bad, "none.py": b"import airflow\ndag = None\n", "good.py": bad.replace(b"a b", b"a")}
    )
    assert errors.keys() == {"bad.py", "none.py"}
    assert "alphanumeric" in errors["bad.py"]
    assert "no DAG" in errors["none.py"]
    assert not list(tmp_path.iterdir())
