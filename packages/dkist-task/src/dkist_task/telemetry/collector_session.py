"""The HTTP session by which telemetry reaches a collector."""

from __future__ import annotations

import time
from typing import Any

import requests

ANSWER_BYTES = 16 * 1024
"""Most that is read of a collector's answer, which is a few bytes where all is well."""

ANSWER_SECONDS = 10.0
"""Longest that an answer is read where the request names no time."""


class CollectorSession(requests.Session):
    """A session that reads no more of an answer than an answer needs.

    A plain session reads all that is sent for as long as bytes drip in: a collector gone wrong could take the memory of
    the task, or hold the exporter for ever.
    """

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Send `request` and return its answer, read within bounds; a redirection is an error."""
        timeout = kwargs.get("timeout")
        deadline = time.monotonic() + (timeout if isinstance(timeout, int | float) else ANSWER_SECONDS)
        kwargs["stream"] = True
        kwargs["allow_redirects"] = False
        response = super().send(request, **kwargs)
        if response.is_redirect:
            # The exporter would take it for a success, and following it would hand the headers to somebody else.
            response.close()
            raise requests.exceptions.TooManyRedirects(
                "the collector redirects, which is not followed: fix its address"
            )
        body = b""
        with response:
            # Byte by byte: a larger piece would be waited for past the deadline.
            for piece in response.iter_content(1):
                body += piece
                if len(body) > ANSWER_BYTES:
                    raise requests.exceptions.ContentDecodingError(f"an answer of more than {ANSWER_BYTES} bytes")
                if time.monotonic() > deadline:
                    raise requests.exceptions.ReadTimeout("an answer that does not end")
        response._content = body  # noqa: SLF001 no public way to hand on a body that was read
        return response
