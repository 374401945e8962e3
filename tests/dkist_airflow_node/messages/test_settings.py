"""The settings of the message bus."""

from __future__ import annotations

import traceback

import pytest

from dkist_airflow_node.errors import BusSettingsError
from dkist_airflow_node.messages.settings import BusSettings, bus_settings, deadline_seconds

MESH = '{"interservice-bus": {"mesh_address": "broker.example", "mesh_port": 5671}}'
SECRET = "s3cret-of-the-bus"


def test_nothing_set() -> None:
    """Without settings it is the broker of this host, as guest."""
    assert bus_settings({}) == BusSettings("127.0.0.1", 5672, "guest", "guest")


def test_everything_set() -> None:
    """The mesh says where, ISB_* say who, the file of certificates asks for TLS."""
    environment = {
        "MESH_CONFIG": MESH,
        "ISB_USERNAME": "u",
        "ISB_PASSWORD": SECRET,
        "DKIST_MESSAGE_CA_FILE": "/ca.pem",
    }
    settings = bus_settings(environment)
    assert settings == BusSettings("broker.example", 5671, "u", SECRET, "/ca.pem")
    assert settings.address == "broker.example:5671 (TLS)"
    assert SECRET not in repr(settings)


def test_a_port_may_be_text() -> None:
    """Programs that write the mesh's configuration may quote the port."""
    assert bus_settings({"MESH_CONFIG": MESH.replace("5671", '"5671"')}).port == 5671


@pytest.mark.parametrize(
    ("mesh", "complaint"),
    [
        ("", "MESH_CONFIG is not JSON at character 0"),
        ('{"x": "s3cret-of-the-bus"', "MESH_CONFIG is not JSON at character 25"),
        ("[" * 100_000, "MESH_CONFIG is not JSON"),
        ('["s3cret-of-the-bus"]', "no object 'interservice-bus'"),
        ('{"other": {"password": "s3cret-of-the-bus"}}', "no object 'interservice-bus'"),
        ('{"interservice-bus": "s3cret-of-the-bus"}', "no object 'interservice-bus'"),
        ('{"interservice-bus": {"mesh_port": 1}}', "no host name in 'mesh_address' of 'interservice-bus'"),
        ('{"interservice-bus": {"mesh_address": " ", "mesh_port": 1}}', "'mesh_address'"),
        ('{"interservice-bus": {"mesh_address": "h"}}', "no port from 1 to 65535 in 'mesh_port'"),
        ('{"interservice-bus": {"mesh_address": "h", "mesh_port": true}}', "'mesh_port'"),
        ('{"interservice-bus": {"mesh_address": "h", "mesh_port": 65536}}', "'mesh_port'"),
        ('{"interservice-bus": {"mesh_address": "h", "mesh_port": "s3cret-of-the-bus"}}', "'mesh_port'"),
    ],
)
def test_a_faulty_mesh_says_what_is_expected(mesh: str, complaint: str) -> None:
    """The error names the member and the form, and has nothing of the text, which may hold secrets of others."""
    with pytest.raises(BusSettingsError, match=complaint) as caught:
        bus_settings({"MESH_CONFIG": mesh})
    assert "mesh_address" in str(caught.value)
    report = traceback.TracebackException.from_exception(caught.value, capture_locals=False)
    assert SECRET not in "".join(report.format())


def test_an_empty_file_of_certificates_is_refused() -> None:
    """An empty value is a mistake, and must not switch TLS off."""
    with pytest.raises(BusSettingsError, match="DKIST_MESSAGE_CA_FILE is empty; name a file of certificates"):
        bus_settings({"DKIST_MESSAGE_CA_FILE": ""})


@pytest.mark.parametrize("missing", ["ISB_USERNAME", "ISB_PASSWORD"])
def test_half_a_login(missing: str) -> None:
    """A user without a password, or the other way round, is a mistake and no guest."""
    environment = {"ISB_USERNAME": "u", "ISB_PASSWORD": SECRET}
    del environment[missing]
    with pytest.raises(BusSettingsError, match=f"{missing} is not set"):
        bus_settings(environment)


def test_deadline() -> None:
    """Three seconds, or what is set."""
    assert deadline_seconds({}) == 3
    assert deadline_seconds({"DKIST_MESSAGE_DEADLINE_SECONDS": "0.5"}) == 0.5


@pytest.mark.parametrize("text", ["", "x", "0", "-1", "nan", "inf"])
def test_a_faulty_deadline(text: str) -> None:
    """No time at all, or all of it, is no deadline."""
    with pytest.raises(BusSettingsError, match="must be a number of seconds above 0"):
        deadline_seconds({"DKIST_MESSAGE_DEADLINE_SECONDS": text})
