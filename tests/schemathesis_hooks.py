"""What schemathesis can't read in `/openapi.json`: requests that are refused for more than their
shape. It loads this file by its name (SCHEMATHESIS_HOOKS).
"""

from __future__ import annotations

from typing import Any
from zoneinfo import available_timezones

import schemathesis

Case = schemathesis.Case[Any]

FOR_ALWAYS = {"kind": "same_person", "as": "somebody", "always": True}

ZONES = available_timezones()
"""Looked up once: each call reads the whole database of time zones."""


@schemathesis.hook
def map_case(context: schemathesis.HookContext, case: Case) -> Case:
    """Which fields go with a correction follows from its kind, and whom it names has to be there:
    what fits is made a correction for always, which may name anybody."""
    body: Any = case.body
    if _corrects_somebody(case):
        case.body = {name: body[name] for name in ("user_id", "reason")} | FOR_ALWAYS
    return case


@schemathesis.hook
def filter_case(context: schemathesis.HookContext, case: Case) -> bool:
    """Whether shape alone decides about this request."""
    beyond = (
        _carries_two_tokens,
        _asks_for_nobody,
        _ends_before_it_begins,
        _is_two_paths,
        _names_no_zone,
        _corrects_somebody,
    )
    return not any(is_beyond(case) for is_beyond in beyond)


def _carries_two_tokens(case: Case) -> bool:
    """A header's token and another one in the body."""
    body: Any = case.body
    return isinstance(body, dict) and isinstance(body.get("access_token"), str)


def _asks_for_nobody(case: Case) -> bool:
    """An operator's token is nobody's own."""
    asked = (case.query or {}).get("user_id")
    return case.operation.path.endswith("/attendance-status") and not asked


def _ends_before_it_begins(case: Case) -> bool:
    """A span of the ledger: which of its two bounds is later, a schema can't say."""
    told: Any = case.body if isinstance(case.body, dict) else case.query or {}
    return "/api/events" in case.operation.path and bool(told.get("since") and told.get("until"))


def _is_two_paths(case: Case) -> bool:
    """An event may be called `replay`: what that path allows is told of both."""
    return case.method == "OPTIONS" and case.operation.path == "/api/events/replay"


def _corrects_somebody(case: Case) -> bool:
    """Which fields go with a correction follows from its kind, and most have to be known."""
    body: Any = case.body
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return False  # it is refused for its shape
    if not case.operation.path.endswith("/corrections") or not isinstance(body, dict):
        return False
    more = {name: value for name, value in body.items() if name not in ("user_id", "reason")}
    return more != FOR_ALWAYS


def _names_no_zone(case: Case) -> bool:
    """The names of time zones are those of a database."""
    asked = (case.query or {}).get("tz")
    return asked is not None and asked not in ZONES
