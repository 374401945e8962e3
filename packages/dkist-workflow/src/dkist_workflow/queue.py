"""The kinds of worker that a task can ask for."""

from __future__ import annotations

from enum import StrEnum


class ResourceQueue(StrEnum):
    """A queue of the data centre: the kind of worker that takes its tasks."""

    DEFAULT = "default"
    """Any worker."""
    HIGH_MEMORY = "high_memory"
    """Workers with a large memory."""
    MULTI_CORE = "multi_core"
    """Workers with many processors."""
    GPU = "gpu"
    """Workers with a graphics processor."""

    @property
    def pool(self) -> str | None:
        """The pool that limits how many tasks of this queue run at once; None for no limit."""
        return None if self is ResourceQueue.DEFAULT else f"{self.value}_pool"
