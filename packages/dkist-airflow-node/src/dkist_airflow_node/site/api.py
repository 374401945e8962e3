"""Airflow's REST API, version 2, which is the same on every Airflow 3: requests, tokens and pages."""

from __future__ import annotations

import json
import logging
import ssl
import time
import urllib.error
import urllib.request
from contextlib import closing
from http.client import HTTPException
from typing import TYPE_CHECKING, Any

from dkist_airflow_node.errors import SiteError, SiteRefusalError, SiteSettingsError, SiteUnreachableError
from dkist_airflow_node.site.settings import secret_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from http.client import HTTPResponse

    from dkist_airflow_node.site.settings import SiteSettings

logger = logging.getLogger(__name__)

API = "/api/v2"

REQUEST_SECONDS = 30.0
"""How long the server may say nothing."""

PAGE = 100
"""Airflow's own limit of entries in an answer (``[api] maximum_page_limit``)."""

MAXIMUM_ANSWER_BYTES = 64 * 1024 * 1024
"""A page of 100 runs takes 200 kB."""

MAXIMUM_LINE_BYTES = 1024 * 1024
MAXIMUM_STREAM_BYTES = 64 * 1024 * 1024
MAXIMUM_STREAM_SECONDS = 30.0

RETRIED = frozenset({429, 500, 502, 503, 504})
"""Statuses that may pass: a database that is busy, an API server that starts again."""

PAUSES = (0.5, 1.5)
"""Seconds before the second and the third attempt."""

READINGS = 3
"""How often a list of several pages is read, until it has not changed while it was read."""

UNAUTHORIZED, FORBIDDEN = 401, 403


class AirflowApi:
    """A connection to an API server.

    Parameters
    ----------
    settings : SiteSettings
        Where it is, and how to log in.
    """

    def __init__(self, settings: SiteSettings) -> None:
        self.url = settings.url
        """Address of the server, also of its pages for people."""
        self._settings = settings
        self._token: str | None = None
        self._opener = urllib.request.build_opener(
            _NoRedirects, urllib.request.HTTPSHandler(context=_tls_context(settings.ca_file))
        )

    def ask(self, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the answer to a question: a GET, or a POST where there is a body. Nothing asked here changes anything.

        Parameters
        ----------
        path : str
            Below ``/api/v2``, quoted.
        body : Mapping[str, Any] or None
            What to ask for, where the question is too long for an address.

        Returns
        -------
        dict[str, Any]
            A JSON object.

        Raises
        ------
        SiteRefusalError
            The server answers with an error.
        """
        for pause in PAUSES:
            try:
                return self._ask_once(path, body)
            except SiteRefusalError as refusal:
                if refusal.status not in RETRIED:
                    raise
                time.sleep(pause)
        return self._ask_once(path, body)

    def entries(self, path: str, key: str, body: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Return every entry of a list of many pages.

        An entry that leaves the list while it is read would hide another one, which moves to a page that has been read.
        So a list that has changed is read again.

        Parameters
        ----------
        path : str
            Below ``/api/v2``.
        key : str
            The member of the answer that has the entries.
        body : Mapping[str, Any] or None
            What to ask for, if the list is one that takes a body.

        Returns
        -------
        list[dict[str, Any]]
            JSON objects.
        """
        found: dict[str, dict[str, Any]] = {}
        for _ in range(READINGS):
            is_whole, entries = self._read_pages(path, key, body)
            found |= {json.dumps(entry, sort_keys=True): entry for entry in entries}
            if is_whole:
                return entries
        return list(found.values())

    def lines(self, path: str) -> Iterator[bytes]:
        """Yield the lines of an answer that may be long: at most 64 MiB, within 30 s, none longer than 1 MiB.

        Parameters
        ----------
        path : str
            Below ``/api/v2``.

        Yields
        ------
        bytes
            A line.
        """
        end, left = time.monotonic() + MAXIMUM_STREAM_SECONDS, MAXIMUM_STREAM_BYTES
        try:
            with closing(self._open(API + path, accept="application/x-ndjson")) as answer:
                while left > 0 and time.monotonic() < end and (line := answer.readline(MAXIMUM_LINE_BYTES)):
                    left -= len(line)
                    yield line
        except (OSError, HTTPException) as error:
            raise SiteUnreachableError(self.url, _words(error)) from None

    def _ask_once(self, path: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        with closing(self._open(API + path, body)) as response:
            return self._object_in(response, path)

    def _read_pages(self, path: str, key: str, body: Mapping[str, Any] | None) -> tuple[bool, list[dict[str, Any]]]:
        """Return whether the list has stayed the same while it was read, and its entries."""
        found: list[dict[str, Any]] = []
        totals: set[int] = set()
        while True:
            if body is None:
                join = "&" if "?" in path else "?"
                page = self.ask(f"{path}{join}limit={PAGE}&offset={len(found)}")
            else:
                page = self.ask(path, {**body, "page_limit": PAGE, "page_offset": len(found)})
            entries, total = page.get(key), page.get("total_entries")
            if not isinstance(entries, list) or not all(isinstance(one, dict) for one in entries):
                raise SiteError(f"the answer of {self.url}{API}{path} has no list {key!r}; is it Airflow 3?")
            found += entries
            totals.add(total if isinstance(total, int) else len(found))
            if not entries or len(found) >= max(totals):
                return len(totals) == 1, found

    def _open(
        self, path: str, body: Mapping[str, Any] | None = None, *, accept: str = "application/json"
    ) -> HTTPResponse:
        """Return an answer; where the token has expired, get another one and ask again."""
        token = self._current_token()
        try:
            return self._send(path, body, token=token, accept=accept)
        except SiteRefusalError as refusal:
            if refusal.status != UNAUTHORIZED:
                raise
            self._token = None
            if self._settings.token is not None or (renewed := self._current_token()) == token:
                raise self._login_error(refusal) from None
        try:
            return self._send(path, body, token=renewed, accept=accept)
        except SiteRefusalError as refusal:
            raise (self._login_error(refusal) if refusal.status == UNAUTHORIZED else refusal) from None

    def _send(
        self, path: str, body: Mapping[str, Any] | None, *, token: str | None, accept: str = "application/json"
    ) -> HTTPResponse:
        request = urllib.request.Request(
            self.url + path,
            headers={"Accept": accept, "Content-Type": "application/json", "User-Agent": "dkist-airflow-node"},
            data=None if body is None else json.dumps(body).encode(),
        )
        if token is not None:
            request.add_unredirected_header("Authorization", f"Bearer {token}")
        what = f"{request.get_method()} {self.url}{path}"
        try:
            response: HTTPResponse = self._opener.open(request, timeout=REQUEST_SECONDS)
        except urllib.error.HTTPError as error:
            with error:
                raise SiteRefusalError(what, error.code, _detail(error)) from None
        except (OSError, HTTPException, UnicodeError) as error:
            raise SiteUnreachableError(self.url, _words(error)) from None
        return response

    def _object_in(self, response: HTTPResponse, path: str) -> dict[str, Any]:
        try:
            content = response.read(MAXIMUM_ANSWER_BYTES + 1)
        except (OSError, HTTPException) as error:
            raise SiteUnreachableError(self.url, _words(error)) from None
        try:
            answer = json.loads(content)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict) or len(content) > MAXIMUM_ANSWER_BYTES:
            raise SiteError(f"the answer of {self.url}{path} is not a JSON object; check DKIST_AIRFLOW_URL")
        return answer

    def _current_token(self) -> str:
        settings = self._settings
        if settings.token_file is not None:
            return _checked(secret_in(settings.token_file, "DKIST_AIRFLOW_TOKEN_FILE"), "DKIST_AIRFLOW_TOKEN_FILE")
        if settings.token is not None:
            return _checked(settings.token, "DKIST_AIRFLOW_TOKEN")
        if self._token is None:
            self._token = self._log_in()
        return self._token

    def _log_in(self) -> str:
        settings = self._settings
        body = None
        if settings.username is not None:
            password = settings.password
            if settings.password_file is not None:
                password = secret_in(settings.password_file, "DKIST_AIRFLOW_PASSWORD_FILE")
            body = {"username": settings.username, "password": password}
        try:
            with closing(self._send("/auth/token", body, token=None)) as response:
                answer = self._object_in(response, "/auth/token")
        except SiteRefusalError as refusal:
            if refusal.status in RETRIED:
                raise
            raise self._login_error(refusal) from None
        token = answer.get("access_token")
        if not isinstance(token, str):
            raise SiteError(f"the answer of {self.url}/auth/token has no 'access_token'; check DKIST_AIRFLOW_URL")
        return _checked(token, "DKIST_AIRFLOW_URL")

    def _login_error(self, refusal: SiteRefusalError) -> SiteError:
        settings = self._settings
        if settings.token_file is not None:
            how = f"the token in {settings.token_file} is not accepted; it may have expired"
        elif settings.token is not None:
            how = "the token in DKIST_AIRFLOW_TOKEN is not accepted; it may have expired"
        elif settings.username is not None:
            how = f"the login of user {settings.username!r} is not accepted; check DKIST_AIRFLOW_PASSWORD(_FILE)"
        else:
            how = "no login is set; set DKIST_AIRFLOW_USERNAME and DKIST_AIRFLOW_PASSWORD_FILE"
        return SiteRefusalError(refusal.request, refusal.status, how)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Refuses every redirection: the token must not reach another server."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> None:
        """Return nothing: the redirection becomes an error."""


def _tls_context(ca_file: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ValueError) as error:
        raise SiteSettingsError("DKIST_AIRFLOW_CA_FILE", f"is not a file of certificates (PEM): {error}") from error


def _checked(token: str, variable: str) -> str:
    """Return a token that fits in a header: the error of http.client would print it."""
    if not token.isascii() or not token.isprintable() or " " in token:
        raise SiteSettingsError(variable, "does not give a token: one word of ASCII characters")
    return token


def _detail(error: urllib.error.HTTPError) -> str:
    try:
        text = error.read(10_000).decode("utf-8", "replace")
    except (OSError, HTTPException):
        text = ""
    try:
        detail = json.loads(text)["detail"]
    except (ValueError, KeyError, TypeError, RecursionError):
        detail = text
    if 300 <= error.code < 400:
        detail = f"redirects to {error.headers.get('Location')}; name that server in DKIST_AIRFLOW_URL"
    words = " ".join(str(detail).split())[:500] or str(error.reason)
    return f"{words} (the user may not read this)" if error.code == FORBIDDEN else words


def _words(error: BaseException) -> str:
    reason = getattr(error, "reason", None)
    if isinstance(reason, BaseException):
        return _words(reason)
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
