"""From a failed task to a message on the bus: what a callback or the listener knows, the message, the spool, the broker."""

from __future__ import annotations

from dkist_airflow_node.messages.bus import EXCHANGE, QUEUE, ROUTING_KEY, BusConnection, answering_address
from dkist_airflow_node.messages.deadline import Watched
from dkist_airflow_node.messages.failure import publish_failure
from dkist_airflow_node.messages.listener import hear_failed_run, hear_failed_task
from dkist_airflow_node.messages.message import FailureMessage
from dkist_airflow_node.messages.outbox import publish_waiting
from dkist_airflow_node.messages.settings import BusSettings, bus_settings, deadline_seconds
from dkist_airflow_node.messages.spool import Spool, spool_folder
from dkist_airflow_node.messages.spool_file import read_message

__all__ = [
    "EXCHANGE",
    "QUEUE",
    "ROUTING_KEY",
    "BusConnection",
    "BusSettings",
    "FailureMessage",
    "Spool",
    "Watched",
    "answering_address",
    "bus_settings",
    "deadline_seconds",
    "hear_failed_run",
    "hear_failed_task",
    "publish_failure",
    "publish_waiting",
    "read_message",
    "spool_folder",
]
