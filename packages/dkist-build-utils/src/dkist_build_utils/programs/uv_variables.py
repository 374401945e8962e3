"""Which settings of uv decide about a release.

The runner of every DAG file has the same list. As soon as ``dkist_airflow_node.worker`` exports it, `uv` imports it
from there and this module goes.
"""

from __future__ import annotations

import re

_BUILD_VARIABLE = re.compile(
    r"UV_(DEFAULT_INDEX|INDEX|INDEX_URL|EXTRA_INDEX_URL|INDEX_STRATEGY|FIND_LINKS|NO_INDEX|OFFLINE|KEYRING_PROVIDER"
    r"|INDEX_\w+_(USERNAME|PASSWORD)|CREDENTIALS_DIR|CONFIG_FILE|NATIVE_TLS|SYSTEM_CERTS|INSECURE_HOST"
    r"|HTTP_TIMEOUT|HTTP_CONNECT_TIMEOUT|HTTP_RETRIES|CONCURRENT_DOWNLOADS|CACHE_DIR|PYTHON_INSTALL_DIR)"
)


def is_build_variable(name: str) -> bool:
    """Return whether a variable of uv says where packages come from and how they are fetched."""
    return _BUILD_VARIABLE.fullmatch(name) is not None
