"""Requests, tokens and pages, with a small server that speaks the API's shapes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dkist_airflow_node.errors import SiteError, SiteRefusalError, SiteSettingsError, SiteUnreachableError
from dkist_airflow_node.site import api as api_module
from dkist_airflow_node.site.api import AirflowApi
from dkist_airflow_node.site.settings import site_settings
from tests.dkist_airflow_node.messages import servers
from tests.dkist_airflow_node.site.airflow_server import AirflowServer, airflow_server, dag_row

SECRET = "s3cret-of-airflow"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[AirflowServer]:
    """Return a server, whose client does not wait between attempts."""
    monkeypatch.setattr(api_module, "PAUSES", (0.0, 0.0))
    with airflow_server() as server:
        yield server


def connect(server: AirflowServer, **variables: str) -> AirflowApi:
    """Return a connection with settings."""
    settings = {f"DKIST_AIRFLOW_{name}": text for name, text in variables.items()}
    return AirflowApi(site_settings({"DKIST_AIRFLOW_URL": server.url, **settings}))


def test_user_and_password_become_a_token(server: AirflowServer, tmp_path: Path) -> None:
    """The token is got once and used for each request; the password may be in a file."""
    server.users, server.tokens = {"ops": SECRET}, set()
    (tmp_path / "password").write_text(f"{SECRET}\n")
    api = connect(server, USERNAME="ops", PASSWORD_FILE=str(tmp_path / "password"))
    assert api.ask("/version") == api.ask("/version") == {"version": "3.3.2"}
    assert [line.split()[1] for line in server.asked] == ["/auth/token", "/api/v2/version", "/api/v2/version"]


def test_an_expired_token_is_renewed(server: AirflowServer) -> None:
    """The request is sent again with the new token, so its caller sees nothing."""
    server.users, server.tokens = {"ops": SECRET}, set()
    api = connect(server, USERNAME="ops", PASSWORD=SECRET)
    api.ask("/version")
    server.tokens.clear()
    assert api.ask("/version") == {"version": "3.3.2"}


def test_a_token_file_that_another_program_renews(server: AirflowServer, tmp_path: Path) -> None:
    """The file is read for each request; a token that is not accepted is an error that names the file."""
    server.tokens = {"second"}
    path = tmp_path / "token"
    path.write_text("first")
    api = connect(server, TOKEN_FILE=str(path))
    with pytest.raises(SiteRefusalError, match=f"the token in {path} is not accepted"):
        api.ask("/version")
    path.write_text("second\n")
    assert api.ask("/version") == {"version": "3.3.2"}


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"TOKEN": SECRET}, "the token in DKIST_AIRFLOW_TOKEN is not accepted"),
        ({"USERNAME": "ops", "PASSWORD": SECRET}, "the login of user 'ops' is not accepted"),
        ({}, "no login is set"),
    ],
)
def test_a_login_that_is_refused(server: AirflowServer, variables: dict[str, str], words: str) -> None:
    """The error says which login, and has no secret in it."""
    server.users, server.tokens = {"ops": "another"}, set()
    with pytest.raises(SiteRefusalError, match=words) as error:
        connect(server, **variables).ask("/version")
    assert SECRET not in str(error.value)


def test_a_token_that_is_no_token(server: AirflowServer) -> None:
    """A text that would break the header is refused before it is sent, and not printed."""
    with pytest.raises(SiteSettingsError, match="DKIST_AIRFLOW_TOKEN does not give a token") as error:
        connect(server, TOKEN=f"{SECRET}\r\nX-Evil: 1").ask("/version")
    assert SECRET not in str(error.value)


def test_what_may_pass_is_tried_again(server: AirflowServer) -> None:
    """An API server that starts again, or a database that is busy, is asked three times."""
    server.faults = [(500, b'{"detail": {"reason": "Database error"}}', {}), (503, b"", {})]
    assert connect(server).ask("/version") == {"version": "3.3.2"}
    server.faults = [(503, b"starting", {})] * 3
    with pytest.raises(SiteRefusalError, match="status 503: starting"):
        connect(server).ask("/version")


def test_a_redirection_is_not_followed(server: AirflowServer) -> None:
    """Another server must not get the token."""
    with airflow_server() as other:
        server.faults = [(302, b"", {"Location": f"{other.url}/login"})]
        with pytest.raises(SiteRefusalError, match="name that server in DKIST_AIRFLOW_URL"):
            connect(server).ask("/version")
        assert other.asked == []


@pytest.mark.parametrize(
    "content", [b"<html>a proxy</html>", b"[1]", b"\xff\xfe", b'{"a": ' * 100_000, b""], ids=lambda content: content[:9]
)
def test_an_answer_that_is_not_an_object(server: AirflowServer, content: bytes) -> None:
    """A proxy's page, say, is one clear error."""
    api = connect(server)
    api.ask("/version")
    server.faults = [(200, content, {})]
    with pytest.raises(SiteError, match="is not a JSON object; check DKIST_AIRFLOW_URL"):
        api.ask("/version")


def test_nobody_listens() -> None:
    """A connection that is refused is an error that names the address."""
    api = AirflowApi(site_settings({"DKIST_AIRFLOW_URL": "http://127.0.0.1:1", "DKIST_AIRFLOW_TOKEN": "t"}))
    with pytest.raises(SiteUnreachableError, match=r"http://127\.0\.0\.1:1 does not answer: ConnectionRefusedError"):
        api.ask("/version")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("behave", [servers.hang_up, servers.flood, servers.say_nothing])
def test_a_server_that_misbehaves(behave: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever answers in place of Airflow, it is one error, in time."""
    monkeypatch.setattr(api_module, "REQUEST_SECONDS", 0.5)
    with servers.serving(behave) as port:
        api = AirflowApi(site_settings({"DKIST_AIRFLOW_URL": f"http://127.0.0.1:{port}", "DKIST_AIRFLOW_TOKEN": "t"}))
        with pytest.raises(SiteUnreachableError, match="does not answer"):
            api.ask("/version")


def test_many_pages(server: AirflowServer) -> None:
    """Every entry comes once, whatever limit the server has for a page."""
    server.dags = [dag_row(f"d{number}") for number in range(257)]
    server.page = 50
    rows = connect(server).entries("/dags?owners=DKIST%20Data%20Center", "dags")
    assert [row["dag_id"] for row in rows] == [f"d{number}" for number in range(257)]


def test_a_list_that_changes_while_it_is_read(monkeypatch: pytest.MonkeyPatch, server: AirflowServer) -> None:
    """An entry that leaves moves another one to a page that has been read: the list is read again."""
    server.dags = [dag_row(f"d{number}") for number in range(150)]
    real = server.paged

    def paged(key: str, rows: list[Any], limit: int, offset: int) -> dict[str, Any]:
        page = real(key, rows, limit, offset)
        if offset == 0 and len(server.dags) == 150:
            del server.dags[0]
        return page

    monkeypatch.setattr(server, "paged", paged)
    rows = connect(server).entries("/dags?owners=DKIST%20Data%20Center", "dags")
    assert {row["dag_id"] for row in rows} == {f"d{number}" for number in range(1, 150)}


def test_a_list_without_entries_is_an_error(server: AirflowServer) -> None:
    """An answer of another shape names the member that is missing."""
    api = connect(server)
    api.ask("/version")
    server.faults = [(200, json.dumps({"dags": "none"}).encode(), {})]
    with pytest.raises(SiteError, match="has no list 'dags'"):
        api.entries("/dags?owners=x", "dags")


def test_certificates_that_are_none(tmp_path: Path, server: AirflowServer) -> None:
    """A file that holds no certificates is named."""
    path = tmp_path / "ca.pem"
    path.write_text("no certificate")
    with pytest.raises(SiteSettingsError, match="DKIST_AIRFLOW_CA_FILE is not a file of certificates"):
        connect(server, CA_FILE=str(path))
