"""The parameters of a run, as ``DKIST_PARAMETERS`` passes them: a JSON object of names and plain values."""

from __future__ import annotations

from dkist_task.errors import RequestError


def parameters_from(text: str) -> dict[str, str | int | float | bool]:
    """Return the parameters that `text` holds; none where it is empty.

    Raises
    ------
    RequestError
        `text` is not a JSON object of names and plain values.
    """
    if not text.strip():
        return {}
    import json  # only runs with parameters pay for it

    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"DKIST_PARAMETERS is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise RequestError(f"DKIST_PARAMETERS must be a JSON object, not a {type(found).__name__}")
    for name, value in found.items():
        if not name.isidentifier():
            raise RequestError(f"DKIST_PARAMETERS: {name[:40]!r} is not a name (letters, digits and '_')")
        is_number = isinstance(value, int | float) and abs(value) < float("inf")
        if not (isinstance(value, str) or is_number):
            raise RequestError(f"DKIST_PARAMETERS: {name} must be a text, a finite number, true or false")
    return found
