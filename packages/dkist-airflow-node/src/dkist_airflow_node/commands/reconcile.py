"""``messages reconcile``: report what Airflow knows to have failed and nobody has reported."""

from __future__ import annotations

import os
import signal
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from dkist_airflow_node.commands.command_help import epilogue
from dkist_airflow_node.commands.duration import duration_from_text
from dkist_airflow_node.commands.text_table import cell, table
from dkist_airflow_node.errors import AirflowNodeError
from dkist_airflow_node.messages import (
    KEEP_DAYS,
    BusSettings,
    Spool,
    bus_settings,
    deadline_seconds,
    publish_waiting,
    spool_folder,
)
from dkist_airflow_node.site import AirflowApi, reconcile, site_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

AIRFLOW_SETTINGS = {
    "DKIST_AIRFLOW_URL": "address of the API server [default: http://localhost:8080]",
    "DKIST_AIRFLOW_USERNAME": "user who gets a token at /auth/token, with one of",
    "DKIST_AIRFLOW_PASSWORD_FILE": "a file of the password, or",
    "DKIST_AIRFLOW_PASSWORD": "the password",
    "DKIST_AIRFLOW_TOKEN_FILE": "or a file of a token, read for each request",
    "DKIST_AIRFLOW_TOKEN": "or a token, which is not renewed",
    "DKIST_AIRFLOW_CA_FILE": "certificates to trust [default: those of the system]",
}
"""The settings of the connection to Airflow."""

EPILOG = epilogue("docs/how-to/failure-messages.md", settings=AIRFLOW_SETTINGS)

WATCH_GRACE = timedelta(minutes=1)
"""How long callbacks have to report a failure before a watching reconciliation does."""


def duration_option(_context: click.Context, _parameter: click.Parameter, text: str | None) -> timedelta | None:
    """Return the span of time that an option gives."""
    try:
        return None if text is None else duration_from_text(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.command("reconcile", epilog=EPILOG)
@click.option(
    "--since", default="24h", show_default=True, callback=duration_option, metavar="SPAN", help="How far to look back."
)
@click.option("--watch", is_flag=True, help="Go on until SIGTERM, and also send what waits in the spool.")
@click.option(
    "--interval", default="5m", show_default=True, callback=duration_option, metavar="SPAN", help="Pause of --watch."
)
@click.option(
    "--grace",
    callback=duration_option,
    metavar="SPAN",
    help="Leave failures younger than this to the callbacks. [default: 0s; with --watch 1m]",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be spooled.")
def reconcile_command(
    *, since: timedelta, watch: bool, interval: timedelta, grace: timedelta | None, dry_run: bool
) -> int:
    """Spool a message of each failed task that nobody has reported.

    Asks Airflow for the failed tasks and runs of exported workflows, and leaves out what the broker has confirmed to
    this host. Each message has the key that a callback would have given it, so a reader of the queue recognises a
    failure that two hosts report. It also decides about the undecided messages of this host: those of tasks that were
    stopped while Airflow did not answer.
    """
    if not timedelta() < since <= timedelta(days=KEEP_DAYS - 1):
        raise click.BadParameter(
            f"must be more than 0s and at most {KEEP_DAYS - 1}d: older confirmations are forgotten",
            param_hint="--since",
        )
    if interval < timedelta(seconds=1):
        raise click.BadParameter("must be at least 1s", param_hint="--interval")
    if watch and dry_run:
        raise click.UsageError("--watch and --dry-run do not go together")
    work = _Work(since, grace if grace is not None else WATCH_GRACE if watch else timedelta(), is_dry=dry_run)
    if watch:
        return _watch(work, bus_settings(os.environ), deadline_seconds(os.environ), interval)
    count = work.run()
    if count and not dry_run:
        click.echo("send them: dkist-airflow-node messages resend")
    return 0


class _Work:
    """One reconciliation, as often as it is wanted."""

    def __init__(self, since: timedelta, grace: timedelta, *, is_dry: bool) -> None:
        self.spool = Spool(spool_folder(os.environ))
        self._api = AirflowApi(site_settings(os.environ))
        self._since, self._grace, self._is_dry = since, grace, is_dry

    def run(self) -> int:
        """Reconcile, say what was found, and return how many failures nobody had reported."""
        now = datetime.now(UTC)
        found = reconcile(self._api, self.spool, since=now - self._since, until=now - self._grace, is_dry=self._is_dry)
        if found.missing:
            rows = [
                tuple(map(cell, (f"{one.workflow_name} {one.workflow_version}", one.task_name, one.dag_run_id,
                                 one.recipe_run_id, one.idempotency_key, one.reason)))
                for one in found.missing
            ]  # fmt: skip
            click.echo(table(("WORKFLOW", "TASK", "RUN", "RECIPE RUN", "KEY", "REASON"), rows))
        decided = found.decisions
        would = "would be " if self._is_dry else ""
        if decided.failed or decided.deleted:
            click.echo(f"undecided messages: {decided.failed} {would}spooled, {decided.deleted} {would}deleted")
        click.echo(
            f"{found.failures} failures in {found.runs} runs since {now - self._since:%Y-%m-%d %H:%M} UTC; "
            f"{len(found.missing)} not reported before, {would}spooled in {self.spool.folder}"
        )
        return len(found.missing) + decided.failed


class _TerminatedError(BaseException):
    """SIGTERM has arrived: no part of the work may take it for a fault of its own."""


def _watch(work: _Work, settings: BusSettings, seconds: float, interval: timedelta) -> int:
    try:
        with _ended_by_sigterm() as is_ended:
            while not is_ended:
                for step in (work.run, lambda: _send(settings, work.spool, seconds)):
                    try:
                        step()
                    except (AirflowNodeError, OSError) as error:  # it may pass
                        click.secho(f"error: {error}", err=True, fg="red")
                time.sleep(0 if is_ended else interval.total_seconds())
    except _TerminatedError:
        pass
    click.echo("ended by SIGTERM")
    return 0


def _send(settings: BusSettings, spool: Spool, seconds: float) -> None:
    if not spool.paths():
        return
    delivery = publish_waiting(settings, spool, seconds=seconds)
    click.echo(f"{delivery.published} published to {settings.address}, {len(spool.paths())} waiting in {spool.folder}")
    if delivery.fault is not None:
        raise delivery.fault


@contextmanager
def _ended_by_sigterm() -> Iterator[list[bool]]:
    """End what is done inside at the first SIGTERM; the list has an item from then on."""
    is_ended: list[bool] = []

    def end(*_: Any) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        is_ended.append(True)
        raise _TerminatedError

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield is_ended
    finally:
        signal.signal(signal.SIGTERM, before)
