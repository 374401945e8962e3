"""Python modules of a client are rewritten; what is not understood stays."""

from __future__ import annotations

from textwrap import dedent

import pytest

from dkist_build_utils.migration.python_source import rewritten_module


def rewritten(text: str) -> str:
    """Return a module after its migration; nothing may be left to decide, and a second one must change nothing."""
    once = rewritten_module(dedent(text).encode(), "my_instrument")
    assert once.decisions == ()
    assert rewritten_module(once.content, "my_instrument") == once
    return once.content.decode()


def left(text: str) -> list[tuple[int, str]]:
    """Return what a person must decide in a module that stays as it is."""
    content = dedent(text).encode()
    result = rewritten_module(content, "my_instrument")
    assert result.content == content
    return list(result.decisions)


def test_imports_are_split_by_what_replaces_the_names() -> None:
    """One line of the core becomes a line for each of our packages; the comments stay."""
    text = """\
        # above
        from dkist_processing_core import TaskBase, Workflow  # beside
        """
    expected = """\
        # above
        from dkist_task import TaskBase
        from dkist_workflow import Workflow  # beside
        """
    assert rewritten(text) == dedent(expected)


def test_sorted_imports_stay_sorted() -> None:
    """Where the lines were as isort has them, the new ones go where isort would put them."""
    text = """\
        import os

        from dkist_header import x
        from dkist_processing_core import ResourceQueue
        # about Workflow
        from dkist_processing_core import Workflow
        from dkist_service import y

        from my_instrument import z
        """
    expected = """\
        import os

        from dkist_header import x
        from dkist_service import y
        from dkist_workflow import ResourceQueue
        # about Workflow
        from dkist_workflow import Workflow

        from my_instrument import z
        """
    assert rewritten(text) == dedent(expected)


def test_unsorted_imports_keep_their_places() -> None:
    """Where nobody sorts, no line moves."""
    text = "from z import z\nfrom dkist_processing_core import Workflow\nfrom a import a\n"
    assert rewritten(text) == text.replace("processing_core", "workflow")


def test_import_within_a_function_and_with_another_name() -> None:
    """A local name stays as it is, wherever the import is."""
    text = "def f():\n    from dkist_processing_core.workflow import dag_name as name\n    return name('w', '1')\n"
    assert "from dkist_task import dag_id as name\n" in rewritten(text)
    text = "from dkist_processing_core.workflow import dag_name\nprint(dag_name('w', '1'))\n"
    assert rewritten(text) == "from dkist_task import dag_id as dag_name\nprint(dag_name('w', '1'))\n"


def test_workflow_that_is_named_by_texts() -> None:
    """The two names are put together; formatting and every comment stay."""
    text = """\
        from dkist_processing_core import Workflow

        main = Workflow(
            category="vbi",  # the instrument
            input_data="l0",
            output_data="l1",  # the product
            detail="trial",  # not for the archive
            workflow_package=__package__,  # ours
            tags="summit",
        )
        """
    expected = """\
        from dkist_workflow import Workflow

        main = Workflow(
            process_category="l0_to_l1",  # the instrument
            process_name="vbi_trial",
            # the product
            # not for the archive
            workflow_package=__package__,  # ours
            tags=["summit"],
        )
        """
    assert rewritten(text) == dedent(expected)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            'input_data="a", output_data="b", category="c", workflow_package=p',
            'process_category="a_to_b", process_name="c", workflow_package=p',
        ),
        (
            'workflow_package=p, input_data="a", output_data="b", category="c", detail=None',
            'workflow_package=p, process_category="a_to_b", process_name="c"',
        ),
        (
            'input_data="a", output_data="b", category=NAME, workflow_package=p',
            '**workflow_arguments(input_data="a", output_data="b", category=NAME, workflow_package=p)',
        ),
        ("**parts, workflow_package=p", "**workflow_arguments(**parts, workflow_package=p)"),
        (
            'input_data="a", output_data="b", category="c", **more',
            '**workflow_arguments(input_data="a", output_data="b", category="c", **more)',
        ),
    ],
)
def test_workflow_that_is_named_in_another_way(arguments: str, expected: str) -> None:
    """Texts are put together, and whatever is computed is put together where it runs."""
    text = f"from dkist_processing_core import Workflow\nw = Workflow({arguments})\n"
    assert f"w = Workflow({expected})\n" in rewritten(text)


def test_attributes_of_tasks_and_workflows() -> None:
    """What a task or a workflow has under another name is renamed, and only there."""
    text = """\
        from dkist_processing_core import TaskBase
        from dkist_processing_core import Workflow

        class Count(TaskBase):
            def run(self):
                self.meter.create_counter(name=self.format_metric_name("frames"))
                self.meter.create_counter(self.format_metric_name(self.kind))
                self.counter.add(1, attributes=self.base_telemetry_attributes)
                self.export_notebook()

        def show(workflow: Workflow, other):
            return workflow.dag_name, other.dag_name, workflow.export_dag(path="here"), workflow.export_notebook(path=p)
        """
    result = rewritten(text)
    assert 'name="dkist.processing.frames"' in result
    assert 'create_counter(f"dkist.processing.{self.kind}")' in result
    assert "attributes=self.telemetry_attributes)" in result
    assert "self.export_notebook()" in result
    assert 'workflow.dag_id, other.dag_name, workflow.export(path="here"), write_notebook(workflow, p)' in result
    assert "from dkist_build_utils import write_notebook\n" in result


def test_texts_name_what_takes_the_place() -> None:
    """The target of a mock and an advice for people name what is there."""
    text = 'x = "dkist_processing_core.task.TaskBase"\ny = f"{x}: dkist_processing_core.Workflow()"\n'
    assert rewritten(text) == 'x = "dkist_task.TaskBase"\ny = f"{x}: dkist_workflow.Workflow()"\n'


def test_settings_come_from_the_package_itself() -> None:
    """A subclass of the core's settings gets them from a module of its own package."""
    text = "from dkist_processing_core.config import DKISTProcessingCoreConfiguration\n"
    assert rewritten(text) == "from my_instrument.core_settings import DKISTProcessingCoreConfiguration\n"


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("import os\nimport dkist_processing_core\n", 2, "import names from dkist_processing_core"),
        ("from dkist_processing_core import *\n", 1, "on a line of its own"),
        ("import os; from dkist_processing_core import TaskBase\n", 1, "on a line of its own"),
        ("from dkist_processing_core.config import core_configurations\n", 1, "there are no shared settings"),
        ("from dkist_processing_core.failure_callback import x\n", 1, "failures are reported by every exported DAG"),
        ("from dkist_processing_core.other import x\n", 1, "nothing replaces it"),
        ("t.base_telemetry_attributes_ = 1\nt.telemetry_span('a', None)\n", 2, "takes a name and attributes"),
        ("from my import SomeWorkflow\nSomeWorkflow(input_data=1, output_data=2)\n", 2, "is not imported from"),
        ("from dkist_workflow import Workflow\npartial(Workflow, input_data='a')\n", 2, "through another call"),
        ("from dkist_workflow import Workflow\nclass W(Workflow): input_data = 1\n", 2, "is a subclass of Workflow"),
        ("x = 'dkist_processing_core.node.thing'\n", 1, "say what takes its place"),
        ("class T:\n    def format_metric_name(self, name): ...\n", 2, "nothing calls format_metric_name"),
    ],
)
def test_what_is_not_understood_stays(text: str, line: int, what: str) -> None:
    """A place that only a person can judge is listed with its line, and is not touched."""
    decisions = left(text)
    assert [place for place, _ in decisions] == [line]
    assert what in decisions[0][1]


def test_line_of_a_decision_is_that_of_the_new_file() -> None:
    """An import that became two lines does not shift the places."""
    text = "from dkist_processing_core import TaskBase, Workflow\n\n\nWorkflow('a')\n"
    result = rewritten_module(text.encode(), "my_instrument")
    assert result.content.decode().splitlines()[4] == "Workflow('a')"
    assert [line for line, _ in result.decisions] == [5]


@pytest.mark.parametrize(
    "text", ["\ufefffrom dkist_processing_core import TaskBase\r\nx = 1\r\n", "# dkist_processing_core"]
)
def test_bytes_of_the_rest_stay(text: str) -> None:
    """A mark of byte order, the ends of lines and a missing last one stay as they are."""
    result = rewritten_module(text.encode(), "my_instrument").content
    assert (
        result
        == text.replace("core import", "core import")
        .replace("dkist_processing_core import", "dkist_task import")
        .encode()
    )


def test_what_is_not_python_is_reported() -> None:
    """A syntax error has its line."""
    with pytest.raises(SyntaxError, match="error") as caught:
        rewritten_module(b"import dkist_processing_core\nprint 'x'\n", "my_instrument")
    assert caught.value.lineno == 2
