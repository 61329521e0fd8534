"""Who asks, and what may they: LiveKit's own access tokens, which every frontend already has."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from flask import request

from webhooks.door.callers import Caller, WebhookToken
from webhooks.door.context import context, present
from webhooks.door.problems import Problem, forbidden, unauthorized
from webhooks.door.verify import Rejected

ALMOST = (
    "The token may list and create rooms, as an operator's, but names a room too, which LiveKit's"
    " `lk token create --create --list` makes up. Make one with `flask token --ops`."
)


def caller(token: str | None = None) -> Caller:
    """The holder of the request's bearer token, or of the `token` that came in its body.

    Raises Problem: 401 without a genuine one, 400 when header and body have different ones.
    """
    header = _bearer()
    if header and token and header != token:
        raise Problem(400, "two-tokens", "The header and the body carry different tokens.")
    try:
        return context().callers.of(header or token, now=present())
    except Rejected as error:
        raise unauthorized(error.reason, str(error)) from None
    except WebhookToken as error:
        raise unauthorized("webhook-token", str(error)) from None


def operator() -> Caller:
    """The holder of an operators' token. Raises Problem: 401, or 403 with any other token."""
    holder = caller()
    if holder.almost_operates:
        raise Problem(403, "forbidden", ALMOST)
    if not holder.operates:
        raise forbidden()
    return holder


def administrator() -> Caller:
    """The holder of an operators' token, or of the token of a room's admin. Raises Problem: 401, or
    403 with any other token."""
    holder = caller()
    return holder if holder.administers else operator()


def participant(token: str | None = None) -> Caller:
    """The holder of a participant's token. Raises Problem: 401, or 403 with any other token."""
    holder = caller(token)
    if not holder.joins:
        raise forbidden()
    return holder


def sender() -> AbstractContextManager[None]:
    """A seat for reading the body of whoever sends it; operators need none.

    Raises Problem: 401 when the header's token is not genuine, and 429 when all seats are taken.
    """
    admission = context().admission
    if _bearer() is None:
        return admission.seat(None)
    holder = caller()
    return nullcontext() if holder.operates else admission.seat(holder.user_id or holder.room or "")


def _bearer() -> str | None:
    header = request.headers.get("Authorization")
    if header is None:
        return None
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise unauthorized("malformed", "The header must be `Authorization: Bearer <token>`.")
    return token.strip()
