"""A value that whoever starts a run may choose."""

from __future__ import annotations

import json

import pytest

from dkist_workflow import Parameter, WorkflowError
from dkist_workflow.parameter import check_parameters


def test_a_parameter_has_its_type_everywhere() -> None:
    """Integers given for a float become floats: default, bounds, choices and values."""
    scale = Parameter("scale", float, 1, minimum=0, maximum=2, description="What to multiply by.")
    assert [type(each) for each in (scale.default, scale.minimum, scale.maximum)] == [float, float, float]
    assert type(scale.check(2)) is float
    assert type(scale.value_from("2")) is float
    assert Parameter("scale", float, 1, choices=[1, 2]).choices == (1.0, 2.0)
    assert hash(scale) == hash(Parameter("scale", float, 1.0, 0.0, 2.0, description="What to multiply by."))


@pytest.mark.parametrize(
    ("parameter", "schema"),
    [
        (Parameter("bins", int, 4, minimum=1), {"type": "integer", "minimum": 1}),
        (Parameter("scale", float, 1, maximum=2), {"type": "number", "maximum": 2.0}),
        (Parameter("is_fast", bool, default=False), {"type": "boolean"}),
        (Parameter("mode", str, "a", choices=["a", "b"]), {"type": "string", "enum": ["a", "b"]}),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_parameter_describes_itself_as_json_schema(parameter: Parameter, schema: dict[str, object]) -> None:
    """The form that starts a run and the REST API check values by it; it holds plain values only."""
    assert parameter.json_schema == schema
    assert json.loads(json.dumps(schema)) == schema


@pytest.mark.parametrize(
    ("parameter", "text", "value"),
    [
        (Parameter("bins", int, 4), "-8", -8),
        (Parameter("scale", float, 1), "2e-1", 0.2),
        (Parameter("is_fast", bool, default=False), "True", True),
        (Parameter("is_fast", bool, default=True), "false", False),
        (Parameter("mode", str, ""), "12", "12"),
        (Parameter("mode", str, "a", choices=("a", "b")), "b", "b"),
    ],
)
def test_typed_text_becomes_a_value(parameter: Parameter, text: str, value: object) -> None:
    """A command line gives text; the task gets the declared type."""
    assert parameter.value_from(text) == value
    assert type(parameter.value_from(text)) is parameter.type


@pytest.mark.parametrize(
    ("parameter", "text", "message"),
    [
        (Parameter("bins", int, 4), "4.0", "^parameter 'bins': '4.0' is not an integer$"),
        (Parameter("bins", int, 4, minimum=1), "0", "^parameter 'bins': value 0 is below the minimum, 1$"),
        (Parameter("bins", int, 4, maximum=8), "9", "^parameter 'bins': value 9 is above the maximum, 8$"),
        (Parameter("bins", int, 4), str(2**53), "beyond what a web form can hold"),
        (Parameter("scale", float, 1), "nan", "value must be a finite number, not nan"),
        (Parameter("scale", float, 1), "much", "'much' is not a number"),
        (Parameter("is_fast", bool, default=True), "1", "'1' is not true or false"),
        (Parameter("mode", str, "a", choices=["a", "b"]), "c", "value 'c' is not one of 'a', 'b'$"),
    ],
)
def test_text_that_is_no_allowed_value_is_refused(parameter: Parameter, text: str, message: str) -> None:
    """The message names the parameter and what it may be."""
    with pytest.raises(WorkflowError, match=message):
        parameter.value_from(text)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("two words", int, 1), "^parameter name 'two words' is not an identifier: use ASCII letters"),
        (("größe", int, 1), "^parameter name 'größe' is not an identifier"),
        ((None, int, 1), "^parameter name None is not an identifier"),
        (("recipe_run_id", int, 1), "^parameter 'recipe_run_id': every workflow has this parameter already"),
        (("p", list, []), "^parameter 'p': type must be int, float, bool or str, not <class 'list'>"),
        (("p", "int", 1), "type must be int, float, bool or str, not 'int'"),
        (("p", [], 1), r"type must be int, float, bool or str, not \[\]"),
        (("p", int, "1"), "default must be an integer, not '1'"),
        (("p", int, True), "default must be an integer, not True"),
        (("p", int, 1.0), "default must be an integer, not 1.0"),
        (("p", int, None), "default must be an integer, not None"),
        (("p", float, float("inf")), "default must be a finite number, not inf"),
        (("p", float, 10**400), "default is beyond what a float can hold"),
        (("p", bool, 1), r"default must be true or false \(a bool\), not 1"),
        (("p", str, 1), "default must be text, not 1"),
        (("p", int, 1, 2), "default 1 is below the minimum, 2"),
        (("p", int, 1, None, 0), "default 1 is above the maximum, 0"),
        (("p", int, 1, 3, 2), "the minimum, 3, is above the maximum, 2"),
        (("p", int, 1, 0.5), "minimum must be an integer, not 0.5"),
        (("p", str, "a", 1), "a str has no minimum and no maximum; leave them out"),
        (("p", bool, True, None, 1), "a bool has no minimum and no maximum"),
        (("p", str, "a", None, None, "abc"), "choices must be a list of values, not 'abc'"),
        (("p", str, "a", None, None, {"a"}), "choices must be a list of values, not {'a'}"),
        (("p", str, "a", None, None, ["b"]), "default 'a' is not one of 'b'"),
        (("p", str, "a", None, None, ["a", "a"]), r"choices \['a', 'a'\] hold a value twice; remove one"),
        (("p", str, "a", None, None, ["a", 1]), "choice must be text, not 1"),
        (("p", int, 1, 0, None, [1]), "choices do not go with bounds or with the type bool; leave the choices out"),
        (("p", bool, True, None, None, [True]), "choices do not go with bounds or with the type bool"),
        (("p", str, "a", None, None, (), None), "description must be text, not None"),
    ],
)
def test_what_makes_no_sense_is_refused_where_it_is_written(arguments: tuple[object, ...], message: str) -> None:
    """A wrong declaration is refused when the module is imported, not when a run is started."""
    with pytest.raises(WorkflowError, match=message):
        Parameter(*arguments)  # type: ignore[arg-type]


def test_a_workflow_declares_each_parameter_once() -> None:
    """A list that holds something else, or a name twice, is refused with what to write."""
    bins, mode = Parameter("bins", int, 4), Parameter("mode", str, "")
    assert check_parameters(each for each in (bins, mode)) == (bins, mode)
    assert check_parameters(None) == ()
    with pytest.raises(WorkflowError, match=r"^parameter 'bins' is declared twice; remove one"):
        check_parameters([bins, mode, Parameter("bins", str, "4")])
    with pytest.raises(WorkflowError, match=r"^'bins' in parameters is not a Parameter; write Parameter\(name, "):
        check_parameters(["bins"])  # type: ignore[list-item]
    with pytest.raises(WorkflowError, match=r"^parameters must be a list; write \[Parameter\(name='bins'"):
        check_parameters(bins)  # type: ignore[arg-type]
