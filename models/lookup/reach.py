"""Which cycles may be in a session, and how they are found.

The statements are built once for each kind of reach, with names for the values: to build one costs
ten times what PostgreSQL needs to answer it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from itertools import groupby
from operator import attrgetter
from typing import Any, Literal

from sqlalchemy import (
    ARRAY,
    BindParameter,
    Column,
    ColumnElement,
    CompoundSelect,
    Connection,
    Float,
    Select,
    Subquery,
    Text,
    any_,
    bindparam,
    func,
    literal,
    or_,
    select,
    union_all,
)

from models.domain.facts import Cycle
from models.domain.json_fields import END_OF_TIME
from models.storage.db import among_bound, is_sqlite
from models.storage.questions import Question, Rows, answer
from models.storage.spans import Span, bound, table
from models.tables.cycle import FIELDS, by_the_rooms_name, cycles, read
from models.tables.room import rooms

CLIENT_WORDS = ("session_type", "academy_id")

ROWS_AT_ONCE = 1000
"""What a long read keeps in memory."""

IN_ORDER = tuple(cycles.c[name] for name in FIELDS)
"""The columns as `Cycle` has its fields: read by place, which costs a third of reading by name."""

Values = Sequence[Any]
"""Of a cycle, in the order of its fields."""

Way = Literal["in time", "these lives", "all lives"]


@dataclass(frozen=True, slots=True)
class Kind:
    """Which statement: how rooms are found, whether manual joins are those between two moments, and
    whether it is asked for one person."""

    on_sqlite: bool
    way: Way
    by_hand: bool = False
    of_one: bool = False


@dataclass(frozen=True, slots=True)
class Reach:
    """Which cycles may be in a session: those of its rooms and the manual joins that name it by id.

    With `since` and `until`: those in rooms of these names that were inside between the two, and
    at most `longest` long unless LiveKit says otherwise. Else all of these room sids (None: of all
    rooms of these names), and manual joins to these names, those between the moments `by_hand` if
    they are given.
    """

    session_id: str
    names: frozenset[str]
    sids: frozenset[str] | None = None
    since: datetime | None = None
    until: datetime | None = None
    longest: timedelta = timedelta(0)
    by_hand: tuple[datetime, datetime | None] | None = None


@dataclass(frozen=True, slots=True)
class ClientWord:
    """What a manual join said of its session: the `value` of the field `word`."""

    room_name: str
    word: str
    value: str
    joined_at: datetime
    cycle_id: str


def within(
    conn: Connection, reach: Reach, *, user_id: str | None = None, most: int | None = None
) -> list[Cycle]:
    """Every cycle in reach, of everybody or of one person; no more than `most`."""
    asked = values_in_reach(reach, user_id=user_id, most=most, on_sqlite=is_sqlite(conn))
    return [Cycle(*values) for values in answer(conn, asked)]


def values_in_reach(
    reach: Reach, *, user_id: str | None = None, most: int | None = None, on_sqlite: bool
) -> Question[list[Values]]:
    """The same as arrays of values, in the order of the fields of `Cycle`. Instants are text, in
    ISO 8601, when it is asked together with others (`questions.answers`). To make objects of all
    costs more than to find them."""
    values = _values(reach, user_id) | ({} if most is None else {"most": most})
    statement = _by_id(_kind(on_sqlite, reach, user_id), limited=most is not None)
    return Question(statement, values, lambda rows: list(rows.arrays))


def in_spans(
    conn: Connection, spans: Sequence[Span], *, user_ids: Sequence[str] | None = None
) -> list[Cycle]:
    """The cycles in rooms of these names that began in these spans, or that were begun before and
    seen since, of everybody or of these people. With those `longer_than` half a day or so that is
    every cycle that was inside then, and some more."""
    on_sqlite = is_sqlite(conn)
    values = bound(spans, on_sqlite=on_sqlite) | _of_users(user_ids)
    rows = conn.execute(_in_spans(on_sqlite, of_users=user_ids is not None), values).all()
    return list({row[0]: Cycle(*row) for row in rows}.values())


def longer_than(
    conn: Connection,
    longest: timedelta,
    spans: Sequence[Span],
    *,
    user_ids: Sequence[str] | None = None,
) -> list[Cycle]:
    """The cycles in rooms of these names that LiveKit says were longer and went on to the `after`
    of a span of the name or beyond; few, but all later ones are looked at to find them."""
    on_sqlite = is_sqlite(conn)
    values = bound(spans, on_sqlite=on_sqlite) | _of_users(user_ids)
    values |= {"longest_s": longest.total_seconds() - 1}  # SQLite's days are not that exact
    rows = conn.execute(_longer(on_sqlite, of_users=user_ids is not None), values).all()
    return list({row[0]: Cycle(*row) for row in rows}.values())


def that_name(
    conn: Connection, session_ids: Sequence[str], *, user_ids: Sequence[str] | None = None
) -> list[Cycle]:
    """The manual joins that name these sessions by their ids."""
    on_sqlite = is_sqlite(conn)
    values = {"in_sessions": list(session_ids)} | _of_users(user_ids)
    rows = conn.execute(_that_name(on_sqlite, of_users=user_ids is not None), values)
    return [Cycle(*row) for row in rows]


def by_user(conn: Connection, reach: Reach) -> Iterator[tuple[str, list[Cycle]]]:
    """Every cycle in reach, a person at a time by user id, however many there are.

    Rows are fetched as they are asked for, so the transaction has to last until then.
    """
    each = _in_reach(_kind(is_sqlite(conn), reach))
    statement = select(each).order_by(each.c.user_id, each.c.cycle_id)
    options = {"yield_per": ROWS_AT_ONCE}
    rows = conn.execute(statement, _values(reach), execution_options=options).mappings()
    for user_id, own in groupby(map(read, rows), attrgetter("user_id")):
        yield user_id, list(own)


def last_manual_signs(reach: Reach, *, on_sqlite: bool) -> Question[dict[str, datetime]]:
    """When a client last joined or left by hand, of the cycles in reach, by room name."""
    return Question(_last_signs(_kind(on_sqlite, reach)), _values(reach), _latest)


def _latest(rows: Rows) -> dict[str, datetime]:
    signs = {row["room_name"]: (row["joined"], row["left"]) for row in rows}
    latest = {name: [at for at in both if at is not None] for name, both in signs.items()}
    return {name or "": max(both) for name, both in latest.items() if both}


def client_words(reach: Reach, *, on_sqlite: bool) -> Question[list[ClientWord]]:
    """The first type and the first academy that manual joins in reach gave, of each room name, the
    earliest first."""
    return Question(
        _first_words(_kind(on_sqlite, reach)),
        _values(reach),
        lambda rows: sorted(
            (ClientWord(**row) for row in rows), key=attrgetter("joined_at", "cycle_id")
        ),
    )


def manual_joins(conn: Connection, reach: Reach) -> Select[Any]:
    """The ids of the provisional cycles in reach, but for those that name another session by id."""
    each = _in_reach(_kind(is_sqlite(conn), reach))
    ours = _not_elsewhere(each, reach.session_id)
    statement = select(each.c.cycle_id).where(each.c.room_sid.is_(None), ours)
    return statement.params(_values(reach))


def _kind(on_sqlite: bool, reach: Reach, user_id: str | None = None) -> Kind:
    """Which statement finds the cycles."""
    if reach.since is not None and reach.until is not None:
        way: Way = "in time"
    else:
        way = "all lives" if reach.sids is None else "these lives"
    return Kind(on_sqlite, way, by_hand=reach.by_hand is not None, of_one=user_id is not None)


def _values(reach: Reach, user_id: str | None = None) -> dict[str, Any]:
    """What the statement of its kind has names for."""
    values: dict[str, Any] = {"in_session": reach.session_id, "names": sorted(reach.names)}
    if user_id is not None:
        values["of_user"] = user_id
    if reach.since is not None and reach.until is not None:
        earliest, latest = reach.since - reach.longest, reach.until + reach.longest
        return values | {"since": reach.since, "earliest": earliest, "latest": latest}
    if reach.sids is not None:
        values["sids"] = sorted(reach.sids)
    if reach.by_hand is not None:
        since, until = reach.by_hand
        values |= {"by_hand_since": since, "by_hand_until": until or END_OF_TIME}
    return values


@cache
def _by_id(kind: Kind, *, limited: bool) -> Select[Any]:
    each = _in_reach(kind)
    statement = select(*(each.c[name] for name in FIELDS)).order_by(each.c.cycle_id)
    return statement.limit(bindparam("most")) if limited else statement


@cache
def _last_signs(kind: Kind) -> Select[Any]:
    each = _in_reach(kind)
    columns, in_session = each.c, bindparam("in_session", type_=cycles.c.named_session.type)
    joined = func.max(columns.client_joined_at).label("joined")
    left = func.max(columns.client_left_at).label("left")
    signs = select(columns.room_name, joined, left).where(
        columns.room_sid.is_(None), _not_elsewhere(each, in_session)
    )
    return signs.group_by(columns.room_name)


def _not_elsewhere(each: Subquery, session_id: Any) -> ColumnElement[bool]:
    """Manual joins that name no other session by its id."""
    return or_(each.c.named_session == session_id, by_the_rooms_name(each))


@cache
def _first_words(kind: Kind) -> CompoundSelect[Any]:
    each = _in_reach(kind)
    return union_all(*(_first_of_each_name(each, word) for word in CLIENT_WORDS))


def _first_of_each_name(each: Subquery, word: str) -> Select[Any]:
    columns = each.c
    order = (columns.joined_at, columns.cycle_id)
    place = func.row_number().over(partition_by=columns.room_name, order_by=order)
    named = literal(word).label("word")
    given = select(columns.room_name, named, columns[word].label("value"), *order)
    placed = given.add_columns(place.label("place")).where(
        columns[word].is_not(None), columns.joined_at.is_not(None)
    )
    first = placed.subquery()
    return select(*list(first.c)[:-1]).where(first.c.place == 1)


@cache
def _in_reach(kind: Kind) -> Subquery:
    """The cycles in reach. Several statements: PostgreSQL reads the whole table for an OR of which
    one side is a subquery."""
    timed = kind.way == "in time"
    own = [cycles.c.user_id == bindparam("of_user")] if kind.of_one else []
    in_session = bindparam("in_session", type_=cycles.c.named_session.type)
    others = cycles.c.named_session.is_distinct_from(in_session)
    in_rooms = _in_time(kind.on_sqlite) if timed else _in_lives(kind)
    named = [cycles.c.named_session == in_session, *own]
    if timed:  # an id that is used every week: last week's joins by it are another week's
        named.append(cycles.c.joined_at.between(*_span(cycles.c.joined_at)))
    sides = [select(cycles).where(*named)]
    sides += [select(cycles).where(each, others, *own) for each in in_rooms]
    return union_all(*sides).subquery("cycles_in_reach")


def _in_time(on_sqlite: bool) -> list[ColumnElement[bool]]:
    """Conditions of which each cycle in rooms of the reach fulfils one; an index serves each."""
    of_names = among_bound(cycles.c.room_name, "names", on_sqlite=on_sqlite)
    joined_at, left_at = cycles.c.joined_at, cycles.c.left_at
    since = bindparam("since", type_=joined_at.type)
    earliest, latest = _span(joined_at)
    began_long_before = of_names & (joined_at < earliest)
    return [
        of_names & joined_at.between(earliest, latest),
        of_names & joined_at.is_(None) & (cycles.c.aborted_at >= earliest),
        began_long_before & (left_at >= since),
        began_long_before
        & or_(left_at.is_(None), left_at < since)
        & (cycles.c.last_seen_at >= earliest),
    ]


def _of_users(user_ids: Sequence[str] | None) -> dict[str, Any]:
    return {} if user_ids is None else {"of_users": list(user_ids)}


def _own(on_sqlite: bool) -> list[ColumnElement[bool]]:
    return [among_bound(cycles.c.user_id, "of_users", on_sqlite=on_sqlite)]


@cache
def _in_spans(on_sqlite: bool, *, of_users: bool) -> CompoundSelect[Any]:
    """The conditions of `_in_time` but for one (`_longer`), with a row of the table of spans for
    their values."""
    spans, columns = table(on_sqlite=on_sqlite), cycles.c
    joined_at, left_at = columns.joined_at, columns.left_at
    since, until, after = spans.c.since, spans.c.until, spans.c.after
    ways = [
        joined_at.between(since, until),
        joined_at.is_(None) & (columns.aborted_at >= since),
        (joined_at < since)
        & or_(left_at.is_(None), left_at < after)
        & (columns.last_seen_at >= since),
    ]
    of_name = columns.room_name == spans.c.word
    own = _own(on_sqlite) if of_users else []
    return union_all(
        *(select(*IN_ORDER).join_from(spans, cycles, of_name & way).where(*own) for way in ways)
    )


@cache
def _longer(on_sqlite: bool, *, of_users: bool) -> Select[Any]:
    """Whoever joined before a span's `since` and left after its `after` was there so long."""
    spans, columns = table(on_sqlite=on_sqlite), cycles.c
    if on_sqlite:
        days = func.julianday(columns.left_at) - func.julianday(columns.joined_at)
        seconds = days * timedelta(days=1).total_seconds()
    else:
        seconds = func.extract("epoch", columns.left_at - columns.joined_at)
    later = (columns.room_name == spans.c.word) & (columns.left_at >= spans.c.after)
    own = _own(on_sqlite) if of_users else []
    return (
        select(*IN_ORDER)
        .join_from(spans, cycles, later)
        .where(seconds > bindparam("longest_s", type_=Float), *own)
    )


@cache
def _that_name(on_sqlite: bool, *, of_users: bool) -> Select[Any]:
    own = _own(on_sqlite) if of_users else []
    named = among_bound(cycles.c.named_session, "in_sessions", on_sqlite=on_sqlite)
    return select(*IN_ORDER).where(named, *own)


def _span(joined_at: Column[Any]) -> tuple[BindParameter[Any], BindParameter[Any]]:
    earliest, latest = (bindparam(word, type_=joined_at.type) for word in ("earliest", "latest"))
    return earliest, latest


def _in_lives(kind: Kind) -> list[ColumnElement[bool]]:
    manual = among_bound(cycles.c.room_name, "names", on_sqlite=kind.on_sqlite)
    manual &= cycles.c.room_sid.is_(None)
    if kind.by_hand:
        joined_at = cycles.c.joined_at
        since, until = (
            bindparam(word, type_=joined_at.type) for word in ("by_hand_since", "by_hand_until")
        )
        manual &= joined_at.between(since, until)
    if kind.way == "all lives":
        return [_in_all_lives(kind), manual]
    return [among_bound(cycles.c.room_sid, "sids", on_sqlite=kind.on_sqlite), manual]


def _in_all_lives(kind: Kind) -> ColumnElement[bool]:
    """In any room of these names. PostgreSQL looks for the rooms first, as for one array."""
    of_names = among_bound(rooms.c.name, "names", on_sqlite=kind.on_sqlite)
    sids = select(rooms.c.sid).where(of_names)
    if kind.on_sqlite:
        return cycles.c.room_sid.in_(sids)
    return cycles.c.room_sid == any_(func.array(sids.scalar_subquery(), type_=ARRAY(Text)))
