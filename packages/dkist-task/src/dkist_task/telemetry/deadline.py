"""Work that nobody waits for past a deadline."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

logger = logging.getLogger(__name__)


def in_parallel(functions: Sequence[Callable[[], object]], seconds: float) -> None:
    """Call each function in a thread of its own and wait for all of them until `seconds` have passed.

    A thread that is not done is abandoned: it is a daemon, and the process is about to end.
    """
    deadline = time.monotonic() + seconds
    threads = [threading.Thread(target=_call, args=(function,), daemon=True) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))


def _call(function: Callable[[], object]) -> None:
    """Call `function`; an error is one line in the log, not a traceback beside the task's."""
    try:
        function()
    except Exception as error:
        logger.warning("telemetry was not sent: %s: %s", type(error).__name__, error)
