"""The command ``dkist-build``."""

from __future__ import annotations

from dkist_build_utils.commands import main

if __name__ == "__main__":
    main()
