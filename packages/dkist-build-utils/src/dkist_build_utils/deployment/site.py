"""The Airflow that reads a dags folder: whether it can be asked, and whether it has the pools of a version."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from dkist_build_utils.deployment.dags_folder import dags_folder_at
from dkist_build_utils.errors import BuildError
from dkist_build_utils.programs import AirflowSite, active_runs, missing_pools

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping
    from pathlib import Path
    from typing import Any

_LOGGER = logging.getLogger(__name__)

_ADVICE = (
    "set AIRFLOW_HOME and the AIRFLOW__ variables to those of the Airflow that reads this dags folder (a new one is "
    "set up by 'airflow db migrate')"
)


def create_missing_pools(dags: Path, pools: Mapping[str, Any]) -> tuple[AirflowSite | None, tuple[str, ...]]:
    """Create the pools that the Airflow of a dags folder does not have.

    Returns
    -------
    AirflowSite or None
        Which Airflow was asked; None if it did not answer and no pools are needed.
    tuple of str
        The pools that were created.

    Raises
    ------
    BuildError
        Pools are needed, and this Airflow cannot be asked or does not read the dags folder: tasks would wait for their
        pools silently. If no pools are needed, that is a warning.
    """
    try:
        site, created = missing_pools(dags, pools, creates=True)
    except BuildError as error:
        if pools:
            raise
        _LOGGER.warning("%s", error)
        return None, ()
    fault = site.fault_for(dags)
    if fault is None:
        _LOGGER.info("asked %s", site)
    elif pools:
        raise BuildError(
            f"{fault}; without the pools {', '.join(pools)} the tasks in them would stay 'scheduled' for ever: "
            f"{_ADVICE}, or use --no-airflow and create the pools there"
        )
    else:
        _LOGGER.warning(
            "%s; so nobody knows whether an Airflow will show this version: %s, or use --no-airflow", fault, _ADVICE
        )
    return site, created


def pools_missing_in_airflow(
    dags_folder: str | os.PathLike[str], pools: Iterable[str]
) -> tuple[AirflowSite, tuple[str, ...]]:
    """Return which Airflow was asked, and which of some pools it does not have.

    Raises
    ------
    BuildError
        It cannot be asked, or does not read the dags folder.
    """
    dags = dags_folder_at(dags_folder)
    site, missing = missing_pools(dags, dict.fromkeys(pools), creates=False)
    fault = site.fault_for(dags)
    if fault is not None:
        raise BuildError(f"{fault}: {_ADVICE}")
    return site, missing


def check_inactive(dags: Path, name: str, dag_ids: tuple[str, ...]) -> None:
    """Raise BuildError if the Airflow of a dags folder has active runs of a version, or cannot be asked."""
    site, runs = active_runs(dag_ids)
    fault = site.fault_for(dags)
    if fault is not None:
        raise BuildError(f"{name}: {fault}, so nobody knows whether runs are active: {_ADVICE}, or use --force")
    if runs:
        named = ", ".join(f"{dag_id} {run_id} ({state})" for dag_id, run_id, state in runs[:3])
        more = f" and {len(runs) - 3} more" if len(runs) > 3 else ""
        raise BuildError(f"{name} has active runs in {site}: {named}{more}; wait for them, or use --force")
