"""Sending: what was made is handed to the server, so that no thread waits for whoever reads it.

The server takes a whole body into its memory, and its thread is free at once. Of an iterator it
takes four parts, and keeps the thread until the reader has taken the others. So every answer is
handed over whole, while the large ones that are not sent yet are not too much for the memory.
Beyond that, an answer keeps its thread and with it a seat, as an export does while it is made.
"""

from __future__ import annotations

from contextlib import ExitStack
from io import BytesIO

from flask import current_app, g, request
from werkzeug.wsgi import FileWrapper

from webhooks.door import operation, problems
from webhooks.door.admission import EXPORTS_BUSY_SECONDS
from webhooks.door.callers import Caller
from webhooks.door.context import context
from webhooks.door.problems import Problem
from webhooks.door.responses import Response, is_bodiless

SMALL_BYTES = 64 * 1024
"""What the kernel takes at once of an answer, or nearly."""


def take_seat(caller: Caller) -> None:
    """Take a seat for making something long for this caller, until it is handed over or sent.

    Who has one already keeps it. Raises Problem 429 when there is none.
    """
    if "seat" in g:
        return
    seat = ExitStack()
    seat.enter_context(context().admission.export(caller.user_id or caller.room))
    g.seat = seat


def hand_over(response: Response) -> Response:
    """After each request: its answer whole, or one that keeps its thread while it is sent, or the
    problem that too many do."""
    seat: ExitStack | None = g.pop("seat", None)
    size = _size(response)
    if size <= SMALL_BYTES:
        return _whole(response, seat or ExitStack())
    public = _is_public()
    try:
        if context().unsent.take(size, public=public):
            return _whole(response, seat or ExitStack())
        return _sent_by_thread(response, seat or _seat(public=public), size)
    except Problem as busy:
        response.close()
        return problems.response(busy.status, busy.reason, busy.detail, headers=busy.headers)


def _size(response: Response) -> int:
    if is_bodiless(request.method, response.status_code):
        return 0
    if response.is_streamed:
        return response.content_length or 0
    return response.calculate_content_length() or 0


def _is_public() -> bool:
    """Whether anybody may ask for this, without a token."""
    view = current_app.view_functions.get(request.endpoint or "")
    declared = operation.of_view(view) if view else None
    return declared is None or not declared.tokens


def _seat(*, public: bool) -> ExitStack:
    """Raises Problem 429 when there is none, as there is not for what anybody may ask for."""
    if public:
        detail = "Too many answers wait for their readers. Ask again in a moment."
        headers = {"Retry-After": str(EXPORTS_BUSY_SECONDS)}
        raise Problem(429, "busy", detail, headers=headers)
    seat = ExitStack()
    seat.enter_context(context().admission.export(None))
    return seat


def _whole(response: Response, seat: ExitStack) -> Response:
    with seat:
        if response.is_streamed and not is_bodiless(request.method, response.status_code):
            response.direct_passthrough = False
            response.set_data(response.get_data())
    return response


def _sent_by_thread(response: Response, seat: ExitStack, size: int) -> Response:
    if not response.is_streamed:
        response.response = FileWrapper(BytesIO(response.get_data()), SMALL_BYTES)
        response.content_length = size
    response.direct_passthrough = False  # else nothing hears the end of it
    response.call_on_close(seat.close)
    return response
