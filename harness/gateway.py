"""A stand-in of the data centre's metadata store: GraphQL over HTTP, as client packages ask it.

It knows every recipe run, and remembers what it was asked to write. A task talks to it over the network, as it talks
to the real one: it is a service of its own, and nothing in the task is replaced.
"""

from __future__ import annotations

import json
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from types import TracebackType

SERVICE = "internal-api-gateway"
"""Its name in ``MESH_CONFIG``."""

INPUT_DATASET = 77
"""Id of the input data set of every recipe run."""

ANSWERS: dict[str, Any] = {
    "recipeRuns": [
        {
            "recipeInstanceId": 5,
            "recipeInstance": {"recipeId": 3, "inputDatasetId": INPUT_DATASET},
            "recipeRunProvenances": [],
            "configuration": None,
        }
    ],
    "createRecipeRunProvenance": {"recipeRunProvenanceId": 1, "isTaskManual": True},
}
"""What it answers, by the name of the query or mutation. Anything else is an error, as in GraphQL."""


class Gateway:
    """The service, on a port of 127.0.0.1. Use it as a context manager: it answers inside."""

    def __init__(self) -> None:
        self.written: list[str] = []
        """The text of each mutation, in the order of arrival."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())

    @property
    def port(self) -> int:
        """Its port."""
        return int(self._server.server_address[1])

    def answer(self, query: str) -> dict[str, Any]:
        """Return the answer to a query or mutation, and remember a mutation."""
        mutation = re.match(r"\s*mutation\s+(\w+)", query)
        named = mutation or re.match(r"\s*\{\s*(\w+)", query)
        name = named[1] if named else ""
        if name not in ANSWERS:
            return {"errors": [{"message": f"this stand-in does not know {name!r}: {query[:200]}"}]}
        if mutation:
            self.written.append(query)
        return {"data": {name: ANSWERS[name]}}

    def __enter__(self) -> Self:
        """Start to answer."""
        Thread(target=self._server.serve_forever, name=SERVICE, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                known = self.path == "/graphql" and isinstance(request, dict) and "query" in request
                body = json.dumps(gateway.answer(request["query"]) if known else {}).encode()
                self.send_response(200 if known else 400)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None: ...

        return Handler
