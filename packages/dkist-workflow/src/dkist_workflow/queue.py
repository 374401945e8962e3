"""The kinds of worker that a task can ask for."""

from __future__ import annotations

from enum import StrEnum


class ResourceQueue(StrEnum):
    """A queue of the data centre, by the resources of the workers that consume it."""

    DEFAULT = "default"
    """Any worker."""
    HIGH_MEMORY = "high_memory"
    """Workers with much memory."""
    MULTI_CORE = "multi_core"
    """Workers with many processors."""
    GPU = "gpu"
    """Workers with a graphics processor."""

    @property
    def pool(self) -> str | None:
        """The pool that bounds how many tasks of this queue run at once; None where there is no bound."""
        return None if self is ResourceQueue.DEFAULT else f"{self.value}_pool"
