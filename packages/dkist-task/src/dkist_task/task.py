"""The base class of every task."""

from __future__ import annotations

import functools
import os
from abc import ABC, abstractmethod
from types import AsyncGeneratorType, CoroutineType, FunctionType, GeneratorType
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Self

from opentelemetry import trace

from dkist_task.identity import TaskIdentity, recipe_run_id_from, try_number_from
from dkist_task.parameters import parameters_from
from dkist_task.record import declare
from dkist_task.settings import TaskSettings
from dkist_task.telemetry import TRACER_NAME, open_span, run_context, task_run

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager
    from types import TracebackType

    from opentelemetry.metrics import Meter
    from opentelemetry.util.types import AttributeValue

STAGES = ("pre_run", "run", "post_run", "rollback")
"""The methods that run in a span of their own."""

_NOT_STARTED = (AsyncGeneratorType, CoroutineType, GeneratorType)
"""The return values of a method that was called but did none of its work."""

_GIVEN_NAMES: dict[type, str] = {}
"""The names of tasks that are not named as their classes."""


class TaskBase(ABC):
    """One step of a workflow.

    A subclass provides `run`, and `pre_run`, `post_run`, `rollback` or ``__exit__`` where it needs them; no override
    has to call its parent's method. A task that has nothing to do raises `TaskSkipped`.

    Parameters
    ----------
    recipe_run_id : int or str
        The recipe run that is processed, 1 or more; its digits as a text are converted.
    workflow_name : str
        The workflow that this task is part of.
    workflow_version : str
        The version of that workflow.
    parameters : mapping, optional
        The parameters of the run, by name; not given, those of ``DKIST_PARAMETERS``.

    Raises
    ------
    RequestError
        The recipe run id is not a positive integer, or ``DKIST_PARAMETERS`` cannot be read.

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

    retries: ClassVar[int] = TaskSettings.retries
    retry_delay_seconds: ClassVar[float] = TaskSettings.retry_delay_seconds
    timeout_seconds: ClassVar[float | None] = TaskSettings.timeout_seconds
    rollback_before_retry: ClassVar[bool] = False
    """Whether the launcher calls `rollback` first in every attempt after the first: a retry, or after a clear.

    Without it nothing calls `rollback` but a person, by ``python -m dkist_task rollback``.
    """

    def __init__(
        self,
        recipe_run_id: int | str,
        workflow_name: str,
        workflow_version: str,
        *,
        parameters: Mapping[str, str | float | bool] | None = None,
    ) -> None:
        self.recipe_run_id = recipe_run_id_from(recipe_run_id)
        self.workflow_name = workflow_name
        self.workflow_version = workflow_version
        self.task_name = _GIVEN_NAMES.get(type(self), type(self).__name__)
        self.try_number = try_number_from(os.environ.get("DKIST_TRY_NUMBER", ""))
        self._run_parameters = dict(
            parameters_from(os.environ.get("DKIST_PARAMETERS", "")) if parameters is None else parameters
        )
        self.parameters = self._run_parameters

    def __repr__(self) -> str:
        named = ("recipe_run_id", "workflow_name", "workflow_version", "try_number", "parameters")
        known = {name: vars(self)[name] for name in named if vars(self).get(name) not in (None, {})}
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in known.items())})"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Instrument each stage of the subclass, so that no override has to call its parent's method."""
        super().__init_subclass__(**kwargs)
        for name in (*STAGES, "__call__"):
            method = getattr(cls, name)
            if isinstance(method, FunctionType) and not hasattr(method, "_is_instrumented"):
                setattr(cls, name, _instrumented(name, method))

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
        """Do the work: `pre_run`, `run` and `post_run`."""
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
        """Undo the work of an earlier attempt; does nothing unless overridden.

        A person calls it, or the launcher where the task asks for that by `rollback_before_retry`. The earlier attempt
        may have been killed at any point, even before it had done anything.
        """

    @property
    def tracer(self) -> trace.Tracer:
        """The OpenTelemetry tracer of this task."""
        return trace.get_tracer(TRACER_NAME)

    @property
    def meter(self) -> Meter:
        """The OpenTelemetry meter of this task, for instruments of its own."""
        from opentelemetry import metrics

        return metrics.get_meter(TRACER_NAME)

    @property
    def telemetry_attributes(self) -> dict[str, AttributeValue]:
        """Return the attributes that name this task and its run, as on the root span, for spans and metrics of its own.

        On a metric they make one series for each run of each task. The task's own metrics leave them out.
        """
        return dict(identity_of(self).attributes())

    def telemetry_span(
        self, name: str, attributes: dict[str, AttributeValue] | None = None
    ) -> AbstractContextManager[trace.Span]:
        """Return a context manager that measures its block in a span.

        Parameters
        ----------
        name : str
            What the block does, the same for every run.
        attributes : dict, optional
            Values that distinguish this block from others of the same name.
        """
        return open_span(str(name), attributes=attributes, context=run_context(lambda: identity_of(self)))

    def used(self, path_or_uri: str | os.PathLike[str], *, sha256: bool = False) -> None:
        """Declare an input of this attempt, for the run record.

        Parameters
        ----------
        path_or_uri : str or path
            A file, a folder, or the URI of what lies elsewhere.
        sha256 : bool, optional
            Whether to record the digest of a file, too, which takes the time to read it.

        Raises
        ------
        TypeError
            `path_or_uri` is neither a text nor a path.
        ValueError
            It is empty.
        """
        declare("used", path_or_uri, sha256=sha256)

    def generated(self, path_or_uri: str | os.PathLike[str], *, sha256: bool = False) -> None:
        """Declare an output of this attempt, for the run record, once it is complete and has its final name.

        Parameters
        ----------
        path_or_uri : str or path
            A file, a folder, or the URI of what lies elsewhere.
        sha256 : bool, optional
            Whether to record the digest of a file, too, which takes the time to read it.

        Raises
        ------
        TypeError
            `path_or_uri` is neither a text nor a path.
        ValueError
            It is empty.
        """
        declare("generated", path_or_uri, sha256=sha256)


def identity_of(task: TaskBase) -> TaskIdentity:
    """Return which task of which run `task` is."""
    return TaskIdentity(
        task.recipe_run_id,
        task.workflow_name,
        task.workflow_version,
        task.task_name,
        try_number_from(os.environ.get("DKIST_TRY_NUMBER", "")),
        vars(task).get("_run_parameters", {}),  # `parameters` may be what a subclass made of them
    )


def give_name(task_class: type[TaskBase], name: str) -> None:
    """Name tasks of `task_class`, but not of its subclasses, as the workflow does."""
    _GIVEN_NAMES[task_class] = name


def mark_launched(task: TaskBase) -> None:
    """Mark `task` as one whose run the launcher records, so that a call of it does not record another."""
    task.__dict__["_is_launched"] = True


def has_started_work(task: TaskBase, action: str) -> bool:
    """Return whether the method of `task` that is the action, ``run`` or ``rollback``, was entered."""
    return action in task.__dict__.get("_entered_stages", set())


def _instrumented(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    """Return `method` with a span around it; a parent's method that its override calls gets no second span."""

    @functools.wraps(method)
    def instrumented(self: TaskBase, *args: Any, **kwargs: Any) -> Any:
        open_names: set[str] = self.__dict__.setdefault("_open_stages", set())
        if name in open_names or (name == "__call__" and "_is_launched" in self.__dict__):
            return method(self, *args, **kwargs)
        open_names.add(name)
        self.__dict__.setdefault("_entered_stages", set()).add(name)
        try:
            with task_run(identity_of(self)) if name == "__call__" else _stage_span(self, name):
                result = method(self, *args, **kwargs)
                if isinstance(result, _NOT_STARTED):
                    _refuse_not_started(self, name, result)
                return result
        finally:
            open_names.discard(name)

    instrumented.__dict__["_is_instrumented"] = True
    return instrumented


def _refuse_not_started(task: TaskBase, name: str, result: Any) -> NoReturn:
    """Raise an error for a method that returned without doing its work."""
    if isinstance(result, CoroutineType):
        result.close()  # or Python warns that nobody awaited it
    raise TypeError(
        f"{task.task_name}.{name} returned a {type(result).__name__}, so none of its work was done: "
        "define it without 'async' and 'yield', and call asyncio.run in it where it needs a loop"
    )


def _stage_span(task: TaskBase, stage: str) -> AbstractContextManager[trace.Span]:
    """Return a span for a stage of `task`."""
    kind = type(task)
    return task.telemetry_span(stage, {"code.function.name": f"{kind.__module__}.{kind.__qualname__}.{stage}"})
