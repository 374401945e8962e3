"""The command ``dkist-airflow-node``."""

from __future__ import annotations

import sys

from dkist_airflow_node.commands import main

if __name__ == "__main__":
    sys.exit(main())
