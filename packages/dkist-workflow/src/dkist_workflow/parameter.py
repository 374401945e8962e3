"""A value that can be chosen when a run is started."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dkist_workflow.errors import WorkflowError, errors_name

if TYPE_CHECKING:
    from collections.abc import Iterable

Value = bool | int | float | str
"""What the value of a parameter can be."""

ValueType = type[bool] | type[int] | type[float] | type[str]
"""The types that a parameter can have."""

RESERVED_NAMES = ("recipe_run_id",)
"""Names that every workflow has already."""

LARGEST_INTEGER = 2**53 - 1
"""The largest integer that a web form passes on unchanged: JavaScript's ``Number.MAX_SAFE_INTEGER``."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_JSON_TYPES = {int: "integer", float: "number", bool: "boolean", str: "string"}
_TRUTH = {"true": True, "false": False}


@dataclass(frozen=True)
class Parameter:
    """A value that can be chosen when a run of a workflow is started: its type, its default and what it may be.

    Every task of the run reads it as ``self.parameters[name]``.

    Raises
    ------
    WorkflowError
        The name, the type, the default, a bound, a choice or the description cannot be used.

    Examples
    --------
    >>> Parameter("bins", int, 4, minimum=1, description="Pixels that become one.").value_from("8")
    8
    """

    name: str
    """The key in ``self.parameters``: an ASCII identifier."""
    type: ValueType
    """The type of every value."""
    default: Value
    """The value where nobody chooses one."""
    minimum: float | None = None
    """The least number allowed; None for no bound."""
    maximum: float | None = None
    """The greatest number allowed; None for no bound."""
    choices: Sequence[Value] = ()
    """All values allowed, kept as a tuple; empty for no such list."""
    description: str = ""
    """What the value does, for the form that starts a run."""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise WorkflowError(
                f"parameter name {self.name!r} is not an identifier: use ASCII letters, digits and '_', no digit first"
            )
        with errors_name(f"parameter {self.name!r}"):
            if self.name in RESERVED_NAMES:
                raise WorkflowError("every workflow has this parameter already; choose another name")
            if not isinstance(self.type, type) or self.type not in _JSON_TYPES:
                raise WorkflowError(f"type must be int, float, bool or str, not {self.type!r}")
            if not isinstance(self.description, str):
                raise WorkflowError(f"description must be text, not {self.description!r}")
            self._set_limits()
            self._set("default", self.check(self.default, what="default"))

    @property
    def json_schema(self) -> dict[str, object]:
        """The JSON Schema of the value, as the keyword arguments of Airflow's ``Param`` take it."""
        members: dict[str, object] = {"type": _JSON_TYPES[self.type]}
        members |= {
            key: bound for key, bound in (("minimum", self.minimum), ("maximum", self.maximum)) if bound is not None
        }
        if self.choices:
            members["enum"] = list(self.choices)
        return members

    def check(self, value: object, *, what: str = "value") -> Value:
        """Return a value as the declared type.

        Parameters
        ----------
        value : object
            The value; an integer will do for a float.
        what : str
            What the error message calls it.

        Raises
        ------
        WorkflowError
            It has another type, is out of bounds or is not one of the choices.
        """
        typed = self._typed(value, what)
        if self.choices and typed not in self.choices:
            raise WorkflowError(f"{what} {typed!r} is not one of {', '.join(map(repr, self.choices))}")
        if isinstance(typed, int | float):
            if self.minimum is not None and typed < self.minimum:
                raise WorkflowError(f"{what} {typed!r} is below the minimum, {self.minimum!r}")
            if self.maximum is not None and typed > self.maximum:
                raise WorkflowError(f"{what} {typed!r} is above the maximum, {self.maximum!r}")
        return typed

    def value_from(self, text: str) -> Value:
        """Return the value that somebody typed.

        Parameters
        ----------
        text : str
            The text; ``true`` or ``false`` for a bool.

        Raises
        ------
        WorkflowError
            The text does not spell a value that the parameter may have.
        """
        with errors_name(f"parameter {self.name!r}"):
            if self.type is str:
                return self.check(text)
            try:
                value = _TRUTH[text.lower()] if self.type is bool else self.type(text)
            except (KeyError, ValueError):
                raise WorkflowError(f"{text!r} is not {_described(self.type)}") from None
            return self.check(value)

    def _set_limits(self) -> None:
        """Check bounds and choices against the type and each other."""
        has_bounds = not (self.minimum is None and self.maximum is None)
        if has_bounds and self.type not in {int, float}:
            raise WorkflowError(f"a {self.type.__name__} has no minimum and no maximum; leave them out")
        for key in ("minimum", "maximum"):
            bound = getattr(self, key)
            if bound is not None:
                self._set(key, self._typed(bound, key))
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise WorkflowError(f"the minimum, {self.minimum!r}, is above the maximum, {self.maximum!r}")
        if isinstance(self.choices, str) or not isinstance(self.choices, Sequence):
            raise WorkflowError(f"choices must be a list of values, not {self.choices!r}")
        if self.choices and (has_bounds or self.type is bool):
            raise WorkflowError("choices do not go with bounds or with the type bool; leave the choices out")
        self._set("choices", tuple(self._typed(choice, "choice") for choice in self.choices))
        if len(set(self.choices)) < len(self.choices):
            raise WorkflowError(f"choices {list(self.choices)!r} hold a value twice; remove one")

    def _typed(self, value: object, what: str) -> Value:
        if self.type is float and type(value) is int:
            try:
                value = float(value)
            except OverflowError:
                raise WorkflowError(f"{what} is beyond what a float can hold") from None
        if type(value) is not self.type or not isinstance(value, bool | int | float | str):
            raise WorkflowError(f"{what} must be {_described(self.type)}, not {value!r}")
        if isinstance(value, float) and not math.isfinite(value):
            raise WorkflowError(f"{what} must be a finite number, not {value!r}")
        if isinstance(value, int) and abs(value) > LARGEST_INTEGER:
            raise WorkflowError(f"{what} {value!r} is beyond what a web form can hold (2**53 - 1); use a str")
        return value

    def _set(self, key: str, value: object) -> None:
        object.__setattr__(self, key, value)  # how a frozen dataclass sets a field while it is made


def check_parameters(parameters: Iterable[Parameter] | None) -> tuple[Parameter, ...]:
    """Return the parameters of a workflow; none for None.

    Parameters
    ----------
    parameters : iterable of Parameter or None
        The parameters.

    Raises
    ------
    WorkflowError
        One is not a `Parameter`, or two have the same name.
    """
    if parameters is None:
        return ()
    if isinstance(parameters, str | Parameter):
        raise WorkflowError(f"parameters must be a list; write [{parameters!r}]")
    checked: dict[str, Parameter] = {}
    for parameter in parameters:
        if not isinstance(parameter, Parameter):
            raise WorkflowError(f"{parameter!r} in parameters is not a Parameter; write Parameter(name, type, default)")
        if parameter.name in checked:
            raise WorkflowError(f"parameter {parameter.name!r} is declared twice; remove one")
        checked[parameter.name] = parameter
    return tuple(checked.values())


def _described(kind: type) -> str:
    """Return the type as an error message names it."""
    return {int: "an integer", float: "a number", bool: "true or false (a bool)", str: "text"}[kind]
