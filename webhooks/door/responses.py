"""Responses as the server likes them: whole, in one message to the thread that writes them.

Flask hands over an iterator, which granian takes for a stream: it sends the head, then asks for one
part after another, and keeps the thread of the request until the reader has taken all but the last
parts. That costs 18 us of a status's 276, and with a slow reader the thread. `sending` decides what
is streamed all the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import flask

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

BODILESS = (204, 304)


class Response(flask.Response):
    """What this application answers with. One that is streamed still is."""

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        bodiless = is_bodiless(environ["REQUEST_METHOD"], self.status_code)
        if self.is_streamed and not bodiless:
            return super().__call__(environ, start_response)
        start_response(self.status, self.get_wsgi_headers(environ).to_wsgi_list())
        body = [] if bodiless else [self.get_data()]
        self.close()
        return body


def is_bodiless(method: str, status: int) -> bool:
    """Whether an answer to this method, with this status, has no body."""
    return method == "HEAD" or status in BODILESS
