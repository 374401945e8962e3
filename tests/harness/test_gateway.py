"""The stand-in of the metadata store answers over HTTP as the real one does."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

import pytest

from harness.gateway import INPUT_DATASET, Gateway

MUTATION = (
    "mutation createRecipeRunProvenance {createRecipeRunProvenance(createParams: {recipeRunId: 7}){isTaskManual} }"
)


def ask(gateway: Gateway, body: Any, path: str = "/graphql") -> Any:
    """Return the decoded answer to a request."""
    request = urllib.request.Request(f"http://127.0.0.1:{gateway.port}{path}", json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def test_recipe_run_has_an_input_data_set() -> None:
    """A query of a recipe run is answered, and nothing is remembered."""
    with Gateway() as gateway:
        answer = ask(gateway, {"query": "{recipeRuns(filterParams: {recipeRunId: 7}){recipeInstanceId} }"})
        assert answer["data"]["recipeRuns"][0]["recipeInstance"]["inputDatasetId"] == INPUT_DATASET
        assert gateway.written == []


def test_mutations_are_remembered() -> None:
    """The text of each mutation is kept in the order of arrival."""
    with Gateway() as gateway:
        assert ask(gateway, {"query": MUTATION})["data"] == {
            "createRecipeRunProvenance": {"recipeRunProvenanceId": 1, "isTaskManual": True}
        }
        assert gateway.written == [MUTATION]


def test_what_it_does_not_know_is_an_error() -> None:
    """An unknown query is a GraphQL error, anything but GraphQL is refused."""
    with Gateway() as gateway:
        assert "does not know 'stars'" in ask(gateway, {"query": "{stars {name} }"})["errors"][0]["message"]
        for body, path in (([1], "/graphql"), ({"query": MUTATION}, "/other")):
            with pytest.raises(urllib.error.HTTPError, match="400"):
                ask(gateway, body, path)
        assert gateway.written == []
