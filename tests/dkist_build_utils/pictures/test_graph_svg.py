"""Workflows as picture files."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from dkist_build_utils import named_workflows, svg
from dkist_workflow import Workflow
from tests.dkist_build_utils.conftest import TASKS, WORKFLOW, Install, instrument

SVG = "{http://www.w3.org/2000/svg}"
VARIANT = """
from {package}.tasks import Load, Publish
trial = main.variant("trial", replace={Parse: Load}, remove=[Calibrate], pip_extras={Assemble: []})
trial.add_node(task=Publish, upstreams=Assemble)
"""
MORE_TASKS = "class Load(Parse): ...\nclass Publish(Parse): ...\n"


def groups(workflow: Workflow) -> dict[str, tuple[str, list[str]]]:
    """Return the class and the texts of each task in a picture, by name."""
    found = {}
    for group in ET.fromstring(svg(workflow)).iter(f"{SVG}g"):
        name, *more = [str(text.text) for text in group.iter(f"{SVG}text")]
        found[name] = (str(group.get("class")), more)
    return found


def test_picture_has_every_task_and_edge_and_needs_nothing_else(install: Install) -> None:
    """It is well-formed XML with a box for each task, its marks, a way for each edge, and no address but SVG's own."""
    name = install(instrument())
    (workflow,) = named_workflows(name)
    text = svg(workflow)
    picture = ET.fromstring(text)
    assert groups(workflow) == {
        "Parse": ("same", []),
        "Calibrate": ("same", ["high_memory · retries: 2"]),
        "Assemble": ("same", ["extras: quality"]),
    }
    assert [path.get("class") for path in picture.iter(f"{SVG}path")].count("edge same") == 3
    assert str(picture[0].text) == f"{name}_main dev"
    assert text.count("http") == 1
    assert "prefers-color-scheme: dark" in text
    assert text == svg(workflow)


def test_picture_of_a_variant_shows_what_differs(install: Install) -> None:
    """Replaced, changed, added and removed tasks are marked, and so are the edges."""
    name = install(instrument(tasks=TASKS + MORE_TASKS, **{"workflows.main": WORKFLOW + VARIANT}))
    (trial,) = named_workflows(name, "trial")
    assert groups(trial) == {
        "Load": ("replaced", ["replaces Parse"]),
        "Calibrate": ("removed", ["removed · high_memory · retries: 2"]),
        "Assemble": ("changed", ["changed"]),
        "Publish": ("added", ["added"]),
    }
    ways = [path.get("class") for path in ET.fromstring(svg(trial)).iter(f"{SVG}path")]
    assert sorted(str(way) for way in ways if way != "head") == [
        "edge added",
        "edge removed",
        "edge removed",
        "edge same",
    ]
    assert f"variant of {name}_main" in svg(trial)


def test_long_names_are_cut_and_whole_in_the_tooltip(install: Install) -> None:
    """A name of 200 letters makes no box that is wider than a page."""
    long = "Calibrate" + "x" * 191
    name = install(instrument(tasks=TASKS.replace("Calibrate", long), **{
        "workflows.main": WORKFLOW.replace("Calibrate", long)}))  # fmt: skip
    (workflow,) = named_workflows(name)
    assert f"<title>{long}\n" in svg(workflow)
    assert max(float(rect.get("width", 0)) for rect in ET.fromstring(svg(workflow)).iter(f"{SVG}rect")) < 900
