"""From a failed task to a message on the bus: what callback and listener know, the message, the spool, the broker."""

from __future__ import annotations

from dkist_airflow_node.messages.alert import TEST_NAME, alert_text, knows_more, merged
from dkist_airflow_node.messages.bus import EXCHANGE, QUEUE, ROUTING_KEY, BusConnection, answering_address
from dkist_airflow_node.messages.deadline import Watched
from dkist_airflow_node.messages.exported_dag import OWNER, ExportedWorkflow, exported_workflow
from dkist_airflow_node.messages.failed_task import FailedTask, named_task, whole_run
from dkist_airflow_node.messages.failure import publish_failure
from dkist_airflow_node.messages.ledger import KEEP_DAYS, Ledger
from dkist_airflow_node.messages.listener import hear_failed_run, hear_failed_task
from dkist_airflow_node.messages.message import FailureMessage, Source
from dkist_airflow_node.messages.outbox import publish_waiting
from dkist_airflow_node.messages.settings import BusSettings, bus_settings, deadline_seconds
from dkist_airflow_node.messages.spool import Spool, spool_folder
from dkist_airflow_node.messages.spool_file import read_message

__all__ = [
    "EXCHANGE",
    "KEEP_DAYS",
    "OWNER",
    "QUEUE",
    "ROUTING_KEY",
    "TEST_NAME",
    "BusConnection",
    "BusSettings",
    "ExportedWorkflow",
    "FailedTask",
    "FailureMessage",
    "Ledger",
    "Source",
    "Spool",
    "Watched",
    "alert_text",
    "answering_address",
    "bus_settings",
    "deadline_seconds",
    "exported_workflow",
    "hear_failed_run",
    "hear_failed_task",
    "knows_more",
    "merged",
    "named_task",
    "publish_failure",
    "publish_waiting",
    "read_message",
    "spool_folder",
    "whole_run",
]
