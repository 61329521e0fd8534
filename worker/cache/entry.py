"""An entry of the cache: two copies of a hash in Redis, one that may be served and one to check.

An entry has the facts of a session, or tells which session a room's name means. The *fresh* copy
may be served. Redis removes it, by its own clock, CACHE_TTL_SECONDS after its facts were read or
checked. The *kept* copy lives for minutes. It has the revision that its facts were read under, and
becomes fresh again when the database still has that revision.

Whoever stores draws a ticket before asking the database, and stores only while the ticket is there.
A clear removes it, so a slow reader can never put old facts over new.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast
from uuid import uuid4

from redis import Redis

Kind = Literal["facts", "name"]
Values = list[bytes | None]

REVISION = "revision"
TICKET_LIFE_MS = 60_000

STORE = """
local ticket, fresh, kept = unpack(KEYS)
local drawn, revision, fresh_until, kept_until = unpack(ARGV, 1, 4)
if redis.call('GET', ticket) ~= drawn then return 0 end
if redis.call('HGET', kept, 'revision') ~= revision then redis.call('DEL', fresh, kept) end
redis.call('HSET', fresh, unpack(ARGV, 5))
redis.call('PEXPIREAT', fresh, fresh_until, 'LT')
if kept_until ~= '' then
    redis.call('HSET', kept, 'revision', revision, unpack(ARGV, 5))
    redis.call('PEXPIREAT', kept, kept_until, 'LT')
end
return 1
"""
RENEW = """
local ticket, fresh, kept = unpack(KEYS)
local drawn, revision, fresh_until = unpack(ARGV)
if redis.call('GET', ticket) ~= drawn then return 0 end
if redis.call('HGET', kept, 'revision') ~= revision then return 0 end
redis.call('COPY', kept, fresh, 'REPLACE')
redis.call('PEXPIREAT', fresh, fresh_until)
return 1
"""


@dataclass(frozen=True, slots=True)
class Ticket:
    """The right to store what is read from now on under this session id or room name."""

    key: str
    number: str
    drawn_at_ms: int
    """By Redis's clock."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A ticket, and what was kept when it was drawn, by kind."""

    ticket: Ticket
    kept: Mapping[str, Values]


def fresh(redis: Redis, kind: Kind, key: str, fields: Sequence[str]) -> Values:
    """What may be served of the entry."""
    return cast("Values", redis.hmget(place(f"fresh-{kind}", key), fields))


def draw(redis: Redis, key: str, **kept: Sequence[str]) -> Drawn:
    """The ticket that is out, else a new one, with these fields of the kept entries, by kind.

    The fields of each are followed by its revision.
    """
    with redis.pipeline(transaction=False) as pipe:
        _draw(pipe, key, kept)
        return _drawn(key, kept, pipe.execute())


def fill(redis: Redis, key: str, *, life_ms: int, **kept: Sequence[str]) -> tuple[bool, Drawn]:
    """The same, and whether the caller is the one to read these facts: for `life_ms`, nobody else
    is, unless `release` is called."""
    with redis.pipeline(transaction=False) as pipe:
        pipe.set(place("filler", key), b"1", nx=True, px=life_ms)
        _draw(pipe, key, kept)
        is_filler, *answers = pipe.execute()
    return bool(is_filler), _drawn(key, kept, answers)


def is_filled(redis: Redis, key: str) -> bool:
    """Whether somebody reads these facts now."""
    return bool(redis.exists(place("filler", key)))


def release(redis: Redis, key: str) -> None:
    """Let others read these facts."""
    redis.delete(place("filler", key))


def _draw(pipe: Redis, key: str, kept: Mapping[str, Sequence[str]]) -> None:
    place_of_ticket = place("ticket", key)
    pipe.time()
    pipe.set(place_of_ticket, uuid4().hex, nx=True, px=TICKET_LIFE_MS)
    pipe.get(place_of_ticket)
    for kind, fields in kept.items():
        pipe.hmget(place(f"kept-{kind}", key), [*fields, REVISION])


def _drawn(key: str, kept: Iterable[str], answers: Sequence[Any]) -> Drawn:
    (seconds, micros), _, number, *values = answers
    ticket = Ticket(key, (number or b"").decode(), seconds * 1000 + micros // 1000)
    return Drawn(ticket, dict(zip(kept, values, strict=True)))


def store(
    redis: Redis,
    ticket: Ticket,
    kind: Kind,
    values: Mapping[str, bytes],
    *,
    revision: int,
    fresh_ms: int,
    kept_ms: int | None,
) -> None:
    """Store what was read after the ticket was drawn, and after that revision was read.

    An entry that has another revision goes as a whole. Without `kept_ms` there is no kept copy.
    """
    kept_until: int | str = "" if kept_ms is None else ticket.drawn_at_ms + kept_ms
    until = (ticket.drawn_at_ms + fresh_ms, kept_until)
    flat = [part for pair in values.items() for part in pair]
    redis.eval(STORE, 3, *_places(ticket, kind), ticket.number, revision, *until, *flat)


def renew(redis: Redis, ticket: Ticket, kind: Kind, *, revision: int, fresh_ms: int) -> None:
    """Make the kept entry fresh: after the ticket was drawn, the database had its revision."""
    until = ticket.drawn_at_ms + fresh_ms
    redis.eval(RENEW, 3, *_places(ticket, kind), ticket.number, revision, until)


def forget(pipe: Redis, keys: Iterable[str]) -> None:
    """Remove the entries and the tickets of these session ids and room names."""
    copies = ("fresh-facts", "kept-facts", "fresh-name", "kept-name")
    for key in sorted(keys):
        pipe.delete(*(place(what, key) for what in ("ticket", *copies)))


def place(what: str, key: str) -> str:
    """The key in Redis of one thing that is kept of a session id or a room name."""
    digest = hashlib.sha256(key.encode()).hexdigest()[:32]
    return f"rc:{{{digest}}}:{what}"


def _places(ticket: Ticket, kind: Kind) -> list[Any]:
    return [place(what, ticket.key) for what in ("ticket", f"fresh-{kind}", f"kept-{kind}")]
