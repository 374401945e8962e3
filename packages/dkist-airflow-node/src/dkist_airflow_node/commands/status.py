"""``status``: what runs, what failed, what waits and what is deployed, on one page."""

from __future__ import annotations

import json
import os
import shutil
from datetime import timedelta
from pathlib import Path

import click

from dkist_airflow_node.commands.command_help import epilogue
from dkist_airflow_node.commands.prometheus import prometheus_text
from dkist_airflow_node.commands.reconcile import AIRFLOW_SETTINGS, duration_option
from dkist_airflow_node.commands.status_page import status_object, status_page
from dkist_airflow_node.messages import spool_folder
from dkist_airflow_node.site import AirflowApi, dags_folder, site_settings, site_status
from dkist_airflow_node.worker import store_folder

EPILOG = epilogue(
    "docs/how-to/watch-a-site.md",
    settings={
        **AIRFLOW_SETTINGS,
        "DKIST_MESSAGE_SPOOL": "the folder of the messages that wait",
        "DKIST_ENVIRONMENT_STORE": "the environment store",
        "AIRFLOW__CORE__DAGS_FOLDER": "the dags folder [default: ${AIRFLOW_HOME:-~/airflow}/dags]",
    },
)


@click.command("status", epilog=EPILOG)
@click.option("--json", "form", flag_value="json", help="Print a JSON object instead of a page.")
@click.option("--prometheus", "form", flag_value="prometheus", help="Print metrics in Prometheus's text format.")
@click.option(
    "--since", default="24h", show_default=True, callback=duration_option, metavar="SPAN", help="How far to look back."
)
@click.option(
    "--dags-folder", "dags", type=click.Path(path_type=Path), metavar="DIR", help="The folder that Airflow reads."
)
def status_command(*, form: str | None, since: timedelta, dags: Path | None) -> None:
    """Show the state of a site.

    Runs, running and failed tasks come from Airflow's REST API; messages, environments and releases from the folders of
    this host. A missing source is named and the rest is shown; the exit status is still 0.
    """
    if since <= timedelta():
        raise click.BadParameter("must be more than 0s", param_hint="--since")
    status = site_status(
        since=since,
        api=lambda: AirflowApi(site_settings(os.environ)),
        spool=lambda: spool_folder(os.environ),
        store=lambda: store_folder(os.environ),
        dags=lambda: dags or dags_folder(os.environ),
    )
    if form == "json":
        click.echo(json.dumps(status_object(status), indent=1))
    elif form == "prometheus":
        click.echo(prometheus_text(status), nl=False)
    else:
        click.echo(status_page(status, shutil.get_terminal_size((100, 24)).columns))
