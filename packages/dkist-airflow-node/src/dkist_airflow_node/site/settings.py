"""Where Airflow's REST API is, and how to log in: from the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from dkist_airflow_node.errors import SiteSettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_URL = "http://localhost:8080"
"""Where Airflow's API server listens if nobody configures it."""

MAXIMUM_SECRET_BYTES = 64 * 1024


@dataclass(frozen=True)
class SiteSettings:
    """Where Airflow's API server is, and how to log in: by one token, or by user and password."""

    url: str
    """Address of the API server, without ``/api/v2`` and without a final slash."""

    token: str | None = field(default=None, repr=False)
    """A token, which cannot be renewed."""

    token_file: Path | None = None
    """File of a token. It is read for each request, so another program may renew it."""

    username: str | None = None
    """User who gets a token at ``/auth/token``, and another one when it expires."""

    password: str | None = field(default=None, repr=False)
    """The user's password, if it is not in a file."""

    password_file: Path | None = None
    """File of the user's password. It is read for each login."""

    ca_file: str | None = None
    """Certificates to trust; None for those of the system."""


def site_settings(environment: Mapping[str, str]) -> SiteSettings:
    """Return the settings that an environment holds.

    Parameters
    ----------
    environment : Mapping[str, str]
        Environment variables.

    Returns
    -------
    SiteSettings
        Without a login where nothing is set: then only an API server that asks for no password answers.

    Raises
    ------
    SiteSettingsError
        A variable has an unusable value, or two of them contradict each other.
    """
    values = {name: text for name, text in environment.items() if name.startswith("DKIST_AIRFLOW_")}
    for name, text in values.items():
        if not text:
            raise SiteSettingsError(name, "is empty; unset it, or give it a value")
    ways = [name for name in ("TOKEN_FILE", "TOKEN", "USERNAME") if f"DKIST_AIRFLOW_{name}" in values]
    if len(ways) > 1:
        raise SiteSettingsError(f"DKIST_AIRFLOW_{ways[0]}", f"and DKIST_AIRFLOW_{ways[1]} are both set; unset one")
    passwords = [name for name in ("PASSWORD_FILE", "PASSWORD") if f"DKIST_AIRFLOW_{name}" in values]
    if (ways == ["USERNAME"]) != (len(passwords) == 1):
        raise SiteSettingsError(
            "DKIST_AIRFLOW_USERNAME", "needs one of DKIST_AIRFLOW_PASSWORD_FILE and DKIST_AIRFLOW_PASSWORD, and they it"
        )
    ca_file = values.get("DKIST_AIRFLOW_CA_FILE")
    if ca_file is not None and not os.access(ca_file, os.R_OK):
        raise SiteSettingsError("DKIST_AIRFLOW_CA_FILE", f"names {ca_file!r}, which cannot be read")
    return SiteSettings(
        url=_url(values.get("DKIST_AIRFLOW_URL", DEFAULT_URL)),
        token=values.get("DKIST_AIRFLOW_TOKEN"),
        token_file=_path(values.get("DKIST_AIRFLOW_TOKEN_FILE")),
        username=values.get("DKIST_AIRFLOW_USERNAME"),
        password=values.get("DKIST_AIRFLOW_PASSWORD"),
        password_file=_path(values.get("DKIST_AIRFLOW_PASSWORD_FILE")),
        ca_file=ca_file,
    )


def secret_in(path: Path, variable: str) -> str:
    """Return the one line that a file of a token or of a password holds.

    Parameters
    ----------
    path : Path
        The file.
    variable : str
        The variable that names it, for errors.

    Returns
    -------
    str
        The line.

    Raises
    ------
    SiteSettingsError
        The file cannot be read, is empty or is too long.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAXIMUM_SECRET_BYTES + 1)
    except OSError as error:
        raise SiteSettingsError(variable, f"names {str(path)!r}, which cannot be read: {error.strerror}") from error
    text = content.decode("utf-8", "replace").strip()
    if not text or len(content) > MAXIMUM_SECRET_BYTES:
        raise SiteSettingsError(variable, f"names {str(path)!r}, which does not hold one short line")
    return text


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
        is_usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_usable = False
    if not is_usable or not text.isascii() or not text.isprintable() or " " in text:
        raise SiteSettingsError("DKIST_AIRFLOW_URL", "is not an address such as https://airflow.example.org")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise SiteSettingsError("DKIST_AIRFLOW_URL", "must have no user, password, query or fragment in it")
    return text.rstrip("/").removesuffix("/api/v2")


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)
