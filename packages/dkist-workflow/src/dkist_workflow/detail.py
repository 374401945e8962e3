"""The names of a workflow from the four details that dkist-processing-core named it by."""

from __future__ import annotations

from typing import Any


def workflow_arguments(
    *, input_data: str, output_data: str, category: str, detail: str | None = None, **others: Any
) -> dict[str, Any]:
    """Return the arguments of `Workflow` for what `dkist-processing-core` was given; the DAG id stays the same.

    Parameters
    ----------
    input_data, output_data : str
        What the workflow reads and writes; together they are the ``process_category``.
    category : str
        What the workflow belongs to.
    detail : str, optional
        What distinguishes it from others. With the category it is the ``process_name``; an empty text counts as none.
    **others : Any
        Further arguments of `Workflow`, passed on. A single text as ``tags`` becomes a list.

    Examples
    --------
    >>> workflow_arguments(input_data="l0", output_data="l1", category="vbi", tags="summit")
    {'process_category': 'l0_to_l1', 'process_name': 'vbi', 'tags': ['summit']}
    """
    names = {
        "process_category": f"{input_data}_to_{output_data}",
        "process_name": f"{category}_{detail}" if detail else category,
    }
    tags = others.get("tags")
    return {**names, **others, **({"tags": [tags]} if isinstance(tags, str) else {})}


def workflow_name_from_details(input_data: str, output_data: str, category: str, detail: str | None = None) -> str:
    """Return the name of the workflow with these details, as `dkist-processing-core` made it.

    Parameters
    ----------
    input_data, output_data, category, detail : str
        As those of `workflow_arguments`.

    Examples
    --------
    >>> workflow_name_from_details("l0", "l1", "vbi", "summit-calibrated")
    'l0_to_l1_vbi_summit-calibrated'
    """
    names = workflow_arguments(input_data=input_data, output_data=output_data, category=category, detail=detail)
    return f"{names['process_category']}_{names['process_name']}"
