"""Which variables of the worker a task and a build may see."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

# What stays outside: the worker's own Python, Airflow's settings and tokens, what would change a build.
KEPT_OUTSIDE = (
    *("AIRFLOW_", "_AIRFLOW", "UV_", "PIP_", "PYTHON", "__PYVENV", "VIRTUAL_ENV", "CONDA"),
    *("DKIST_OUTCOME_FILE", "DKIST_STOP_FILE", "DKIST_LOG_FORMAT"),
)
PASSED_ALWAYS = ("AIRFLOW_CTX_", "DKIST_", "OTEL_", "LC_")
NAMES_PASSED_ALWAYS = ("PATH", "HOME", "LANG", "TZ", "TMPDIR", "USER", "LOGNAME", "TRACEPARENT", "TRACESTATE")
BUILD_VARIABLES = (
    *("UV_INDEX*", "UV_DEFAULT_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_NO_INDEX", "UV_CONFIG_FILE"),
    *("UV_HTTP_*", "UV_KEYRING_PROVIDER", "UV_CREDENTIALS_DIR", "UV_CACHE_DIR", "UV_OFFLINE", "UV_NATIVE_TLS"),
    *("UV_SYSTEM_CERTS", "UV_INSECURE_HOST", "UV_CONCURRENT_DOWNLOADS", "UV_PYTHON_INSTALL_DIR"),
)
"""uv's own variables that say where packages come from: the build gets them, the task does not."""


def is_kept_outside(name: str) -> bool:
    """Return whether neither a build nor a task may see a variable of the worker."""
    if not (name.isascii() and name.isidentifier()) or name in {"ENV", "BASH_ENV"}:  # such as exported functions
        return True
    return name.startswith(KEPT_OUTSIDE) and not name.startswith("AIRFLOW_CTX_")


def matches(name: str, pattern: str) -> bool:
    """Return whether a name is the pattern's, which may hold one star."""
    head, star, tail = pattern.partition("*")
    if not star:
        return name == pattern
    return len(name) >= len(head) + len(tail) and name.startswith(head) and name.endswith(tail)


def task_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what the task may see of the worker's environment and the DAG's variables."""
    passed = {name: value for name, value in environ.items() if not is_kept_outside(name)}
    patterns = environ.get("DKIST_TASK_VARIABLES", "").split()
    if patterns:
        passed = {
            name: value
            for name, value in passed.items()
            if name.startswith(PASSED_ALWAYS)
            or name in NAMES_PASSED_ALWAYS
            or any(matches(name, pattern) for pattern in patterns)
        }
    return passed


def build_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what a build may see: uv's settings besides, and nothing that an index would not need."""
    return {
        name: value
        for name, value in environ.items()
        if not is_kept_outside(name) or any(matches(name, pattern) for pattern in BUILD_VARIABLES)
    }
