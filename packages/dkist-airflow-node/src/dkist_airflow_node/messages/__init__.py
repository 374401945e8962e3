"""From a failed task to a message on the bus: what Airflow knows, the message, the spool, the broker."""

from __future__ import annotations

from dkist_airflow_node.messages.bus import EXCHANGE, QUEUE, ROUTING_KEY, BusConnection, look_up
from dkist_airflow_node.messages.deadline import Watched
from dkist_airflow_node.messages.failure import publish_failure
from dkist_airflow_node.messages.message import FailureMessage, MessageError, MessageFormatError
from dkist_airflow_node.messages.outbox import send_waiting
from dkist_airflow_node.messages.settings import BusSettings, bus_settings, deadline_seconds
from dkist_airflow_node.messages.spool import Spool, spool_folder

__all__ = [
    "EXCHANGE",
    "QUEUE",
    "ROUTING_KEY",
    "BusConnection",
    "BusSettings",
    "FailureMessage",
    "MessageError",
    "MessageFormatError",
    "Spool",
    "Watched",
    "bus_settings",
    "deadline_seconds",
    "look_up",
    "publish_failure",
    "send_waiting",
    "spool_folder",
]
