"""Where Airflow's API is and how to log in, from the environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from dkist_airflow_node.errors import SiteSettingsError
from dkist_airflow_node.site.settings import DEFAULT_URL, secret_in, site_settings


def test_nothing_set() -> None:
    """Without settings it is the API server of this host, without a login."""
    settings = site_settings({"PATH": "/bin"})
    assert (settings.url, settings.token, settings.username) == (DEFAULT_URL, None, None)


def test_no_secret_is_shown() -> None:
    """Neither token nor password is in the settings' own text."""
    token = site_settings({"DKIST_AIRFLOW_TOKEN": "s3cret"})
    login = site_settings({"DKIST_AIRFLOW_USERNAME": "u", "DKIST_AIRFLOW_PASSWORD": "s3cret"})
    assert "s3cret" not in f"{token}{login}"


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://airflow.example.org/", "https://airflow.example.org"),
        ("https://example.org/airflow/api/v2", "https://example.org/airflow"),
    ],
)
def test_an_address_may_end_as_people_write_it(text: str, url: str) -> None:
    """A final slash and the path of the API are left out."""
    assert site_settings({"DKIST_AIRFLOW_URL": text}).url == url


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        ({"URL": ""}, "URL is empty"),
        ({"URL": "airflow:8080"}, "URL is not an address"),
        ({"URL": "file:///etc/passwd"}, "URL is not an address"),
        ({"URL": "http://h:99999999"}, "URL is not an address"),
        ({"URL": "http://h/\r\nX: y"}, "URL is not an address"),
        ({"URL": "http://user:s3cret@h"}, "URL must have no user"),
        ({"TOKEN": "s3cret", "TOKEN_FILE": "/t"}, "TOKEN_FILE and DKIST_AIRFLOW_TOKEN are both set"),
        ({"TOKEN": "s3cret", "USERNAME": "u", "PASSWORD": "s3cret"}, "TOKEN and DKIST_AIRFLOW_USERNAME are both set"),
        ({"USERNAME": "u"}, "USERNAME needs one of"),
        ({"PASSWORD": "s3cret"}, "USERNAME needs one of"),
        ({"USERNAME": "u", "PASSWORD": "s3cret", "PASSWORD_FILE": "/p"}, "USERNAME needs one of"),
        ({"CA_FILE": "/does/not/exist"}, "CA_FILE names '/does/not/exist'"),
    ],
)
def test_what_is_refused(variables: dict[str, str], problem: str) -> None:
    """The error names the variable and how to fix it, and no secret."""
    with pytest.raises(SiteSettingsError, match=f"DKIST_AIRFLOW_{problem}") as error:
        site_settings({f"DKIST_AIRFLOW_{name}": text for name, text in variables.items()})
    assert "s3cret" not in str(error.value)


def test_a_secret_in_a_file(tmp_path: Path) -> None:
    """White space around it is left out; a file that is empty, too long or missing is refused."""
    path = tmp_path / "token"
    path.write_text("abc\n")
    assert secret_in(path, "X") == "abc"
    for content in ("", "\n", "x" * 100_000):
        path.write_text(content)
        with pytest.raises(SiteSettingsError, match="does not hold one short line"):
            secret_in(path, "X")
    with pytest.raises(SiteSettingsError, match="cannot be read: No such file"):
        secret_in(tmp_path / "none", "X")
