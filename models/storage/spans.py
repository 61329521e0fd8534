"""A table of spans, each of a word: rows that a statement joins with, sent as one JSON parameter.

So the statement is the same for any number of them: it is built, compiled and prepared once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import (
    BindParameter,
    FromClause,
    Text,
    bindparam,
    cast,
    column,
    func,
    select,
    type_coerce,
)
from sqlalchemy.dialects.postgresql import JSONB

from models.storage.db import Instant, Key

PARAMETER = "spans"


@dataclass(frozen=True, slots=True)
class Span:
    """What lies in [since, until] under a word, such as a room's name; `after` is a moment in it.

    `after` is for what began before the span and reached into it.
    """

    word: str
    since: datetime
    until: datetime
    after: datetime


def table(*, on_sqlite: bool) -> FromClause:
    """The spans that `bound` sends, with columns as they have fields."""
    return _on_sqlite() if on_sqlite else _on_postgresql()


def bound(spans: Iterable[Span], *, on_sqlite: bool) -> dict[str, Any]:
    """The parameter of a statement with the table."""
    rows = [
        {
            "word": span.word,
            **{
                name: _naive(at) if on_sqlite else at.isoformat()
                for name, at in (
                    ("since", span.since),
                    ("until", span.until),
                    ("after", span.after),
                )
            },
        }
        for span in spans
    ]
    return {PARAMETER: orjson.dumps(rows).decode() if on_sqlite else rows}


def merged(spans: Iterable[Span]) -> list[Span]:
    """Of each word, spans that do not overlap and cover all of these."""
    made: list[Span] = []
    for span in sorted(spans, key=lambda each: (each.word, each.since)):
        last = made[-1] if made else None
        if last is not None and last.word == span.word and span.since <= last.until:
            made[-1] = Span(
                span.word,
                last.since,
                max(last.until, span.until),
                min(last.after, span.after),
            )
        else:
            made.append(span)
    return made


def _on_postgresql() -> FromClause:
    instants = [column(name, Instant()) for name in ("since", "until", "after")]
    rows: BindParameter[Any] = bindparam(PARAMETER, type_=JSONB)
    records = func.jsonb_to_recordset(rows).table_valued(column("word", Key), *instants)
    return records.render_derived(name="spans", with_types=True)


def _on_sqlite() -> FromClause:
    rows: BindParameter[Any] = bindparam(PARAMETER, type_=Text)
    each = func.json_each(rows).table_valued("value")
    said = {
        name: func.json_extract(each.c.value, f"$.{name}")
        for name in ("word", "since", "until", "after")
    }
    return select(
        cast(said["word"], Text).label("word"),
        *(type_coerce(said[name], Instant()).label(name) for name in ("since", "until", "after")),
    ).subquery("spans")


def _naive(at: datetime) -> str:
    """As SQLite has an instant."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds")
