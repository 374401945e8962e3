"""The connection to the broker; what needs a real broker is in test_failure_broker."""

from __future__ import annotations

from pathlib import Path

import pytest

from dkist_airflow_node.errors import BusSettingsError, BusUnreachableError, NotAcceptedError
from dkist_airflow_node.messages.bus import BusConnection, answering_address, describe
from dkist_airflow_node.messages.settings import BusSettings
from tests.dkist_airflow_node.messages import servers


def settings(port: int, *, host: str = "127.0.0.1", ca_file: str | None = None) -> BusSettings:
    """Return the settings of a broker."""
    return BusSettings(host, port, "guest", "guest", ca_file)


def test_the_address_that_answers() -> None:
    """A name becomes an address."""
    with servers.serving(servers.say_nothing) as port:
        assert answering_address(settings(port, host="localhost"), 5) == "127.0.0.1"


@pytest.mark.parametrize("host", ["127.0.0.1", "no-such-host.invalid", "a" * 300])
def test_an_address_that_does_not_answer(host: str) -> None:
    """The error names the broker, whatever the resolver thinks of its name."""
    with pytest.raises(BusUnreachableError, match=f"^broker {host}:1: ") as caught:
        answering_address(settings(1, host=host), 5)
    assert caught.value.broker == f"{host}:1"


def test_a_file_that_holds_no_certificates(tmp_path: Path) -> None:
    """The variable and the file are named before anything is sent."""
    (tmp_path / "ca.pem").write_text("not a certificate")
    with (
        BusConnection(settings(1, ca_file=str(tmp_path / "ca.pem")), 1) as bus,
        pytest.raises(BusSettingsError, match=r"DKIST_MESSAGE_CA_FILE names '.*ca\.pem', which cannot be read"),
    ):
        bus.open()
    assert not bus.is_open


def test_errors_are_built_from_what_happened() -> None:
    """A caller reads the broker, the cause and whose fault it is from attributes."""
    error = NotAcceptedError("b:1", "too long", is_fault_of_message=True)
    assert (str(error), error.is_fault_of_message) == ("broker b:1: too long", True)
    assert not NotAcceptedError("b:1", "full").is_fault_of_message
    assert isinstance(BusUnreachableError("b:1", "gone"), ConnectionError)


def test_the_innermost_cause_is_described() -> None:
    """Pika wraps the error of a socket in errors of its own, some without a text."""
    assert describe(RuntimeError(OSError("refused"))) == "OSError: refused"
    assert describe(RuntimeError()) == "RuntimeError"
