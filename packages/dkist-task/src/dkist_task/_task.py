"""The base class of every task."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from types import FunctionType
from typing import TYPE_CHECKING, Any, ClassVar, Self

from opentelemetry import metrics, trace

from dkist_task._span import open_span

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from types import TracebackType

    from opentelemetry.util.types import AttributeValue

STAGES = ("pre_run", "run", "post_run", "rollback")
"""The methods that run in a span of their own."""


class TaskBase(ABC):
    """One step of a workflow.

    A subclass provides `run`, and `pre_run`, `post_run`, `rollback` or ``__exit__`` where it needs them; none of them
    has to call its parent's for the framework's sake.

    Parameters
    ----------
    recipe_run_id : int
        The recipe run that is processed, 1 or more.
    workflow_name : str
        The workflow that this task is part of.
    workflow_version : str
        The version of that workflow.

    Examples
    --------
    >>> class Greet(TaskBase):
    ...     def run(self) -> None:
    ...         with self.telemetry_span("say"):
    ...             print(f"hello from {self.task_name} of run {self.recipe_run_id}")
    >>> with Greet(recipe_run_id=1, workflow_name="demo", workflow_version="1.0.0") as task:
    ...     task()
    hello from Greet of run 1
    """

    retries: ClassVar[int] = 0
    """How often the engine runs the task again after a failure."""

    retry_delay_seconds: ClassVar[float] = 60
    """How long the engine waits before it does."""

    timeout_seconds: ClassVar[float | None] = None
    """How long the engine lets one attempt take, None for no limit."""

    def __init__(self, recipe_run_id: int, workflow_name: str, workflow_version: str) -> None:
        self.recipe_run_id = recipe_run_id
        self.workflow_name = workflow_name
        self.workflow_version = workflow_version
        self.task_name = type(self).__name__

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Give each stage its span here, so that no override has to call its parent for it."""
        super().__init_subclass__(**kwargs)
        for stage in STAGES:
            method = getattr(cls, stage)
            if isinstance(method, FunctionType) and not hasattr(method, "_dkist_stage"):
                setattr(cls, stage, _in_span(stage, method))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        return None

    def __call__(self) -> None:
        self.pre_run()
        self.run()
        self.post_run()

    def pre_run(self) -> None:  # noqa: B027 an optional step, so not abstract
        """Prepare the work; does nothing unless overridden."""

    @abstractmethod
    def run(self) -> None:
        """Do the work."""

    def post_run(self) -> None:  # noqa: B027 an optional step, so not abstract
        """Finish the work; does nothing unless overridden."""

    def rollback(self) -> None:  # noqa: B027 an optional step, so not abstract
        """Undo the work of an earlier attempt; does nothing unless overridden."""

    @property
    def tracer(self) -> trace.Tracer:
        """The OpenTelemetry tracer of this task."""
        return trace.get_tracer("dkist_task")

    @property
    def meter(self) -> metrics.Meter:
        """The OpenTelemetry meter of this task, for instruments of its own."""
        return metrics.get_meter("dkist_task")

    def telemetry_span(
        self, name: str, attributes: dict[str, AttributeValue] | None = None
    ) -> AbstractContextManager[trace.Span]:
        """Return a context manager that measures its block in a span.

        Parameters
        ----------
        name : str
            What the block does, the same for every run.
        attributes : dict, optional
            What tells this block from others of the name.
        """
        return open_span(self.tracer, name, attributes=attributes)


def _in_span(stage: str, method: Callable[..., Any]) -> Callable[..., Any]:
    """Return `method` in a span named `stage`; a parent's, called from inside its override, opens no second one."""

    @functools.wraps(method)
    def in_span(self: TaskBase, *args: Any, **kwargs: Any) -> Any:
        open_stages: set[str] = self.__dict__.setdefault("_open_stages", set())
        if stage in open_stages:
            return method(self, *args, **kwargs)
        open_stages.add(stage)
        try:
            with open_span(
                self.tracer,
                stage,
                attributes={"code.function.name": f"{type(self).__module__}.{type(self).__qualname__}.{stage}"},
            ):
                return method(self, *args, **kwargs)
        finally:
            open_stages.discard(stage)

    in_span._dkist_stage = stage  # type: ignore[attr-defined]  # noqa: SLF001 a mark on a function
    return in_span
