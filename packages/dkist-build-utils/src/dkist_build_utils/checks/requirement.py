"""What an environment of a distribution will hold, according to the metadata installed here."""

from __future__ import annotations

import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from types import MappingProxyType
from typing import TYPE_CHECKING

from packaging.requirements import Requirement

from dkist_workflow import normalized_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

TASK_REQUIREMENT = "dkist-task[otlp]"
"""What every environment holds: the launcher, and the exporter that sends telemetry if a worker switches it on."""

_EDITABLE_MODULES = {
    # An editable installation lists no modules. Modules of tasks import these most often by mistake.
    "dkist_workflow": "dkist-workflow",
    "dkist_airflow_node": "dkist-airflow-node",
    "dkist_build_utils": "dkist-build-utils",
}


@cache
def extras_of(distribution_name: str) -> frozenset[str]:
    """Return the normalised names of the extras that an installed distribution has."""
    provided = distribution(distribution_name).metadata.get_all("Provides-Extra") or ()
    return frozenset(normalized_name(extra) for extra in provided)


def modules_absent_from(distribution_name: str, extras: Iterable[str]) -> dict[str, str]:
    """Return the modules that can be imported here but not in an environment of the distribution with these extras.

    Parameters
    ----------
    distribution_name : str
        The distribution.
    extras : iterable of str
        Its extras in the environment.

    Returns
    -------
    dict of str to str
        The names of the distributions that hold each module, by the name of the top-level module. Modules that no
        metadata lists are left out.
    """
    present = _required(distribution_name, frozenset(extras)) | _required("dkist-task", frozenset({"otlp"}))
    return {
        module: " or ".join(sorted(holders)[:2])  # a dozen distributions share Airflow's namespace
        for module, holders in _holders_of_modules().items()
        if holders.isdisjoint(present)
    }


def extras_with(distribution_name: str, module: str) -> tuple[str, ...]:
    """Return the extras of a distribution, each of which brings what holds a top-level module."""
    holders = _holders_of_modules().get(module, frozenset())
    return tuple(
        extra
        for extra in sorted(extras_of(distribution_name))
        if not holders.isdisjoint(_required(distribution_name, frozenset({extra})))
    )


def are_requirements_installed(distribution_name: str, extras: Iterable[str]) -> bool:
    """Return whether all that an environment will hold is installed here too, so that its modules are known."""
    return all(map(_is_installed, _required(distribution_name, frozenset(extras)) | {"dkist-task"}))


def _is_installed(distribution_name: str) -> bool:
    return _requirements_of(distribution_name) is not None


@cache
def _requirements_of(distribution_name: str) -> tuple[Requirement, ...] | None:
    """Return the requirements of a distribution, those of its extras included; None if it is not installed."""
    try:
        return tuple(map(Requirement, distribution(distribution_name).requires or ()))
    except PackageNotFoundError:
        return None


@cache
def _holders_of_modules() -> Mapping[str, frozenset[str]]:
    """Return the distributions that hold each top-level module installed here."""
    holders = {
        module: frozenset(normalized_name(name) for name in names)
        for module, names in packages_distributions().items()
        if module not in sys.stdlib_module_names
    }
    holders.update((module, frozenset({name})) for module, name in _EDITABLE_MODULES.items())
    return MappingProxyType(holders)


@cache
def _required(distribution_name: str, extras: frozenset[str]) -> frozenset[str]:
    """Return the names of the distribution and of its installed requirements, direct and indirect."""
    found: set[str] = set()
    seen: set[tuple[str, str]] = set()
    pending = [(normalized_name(distribution_name), extra) for extra in ("", *extras)]
    while pending:
        name, extra = pending.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        found.add(name)
        for requirement in _requirements_of(name) or ():
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                required = normalized_name(requirement.name)
                pending += [(required, each) for each in ("", *map(normalized_name, requirement.extras))]
    return frozenset(found)
