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
from dataclasses import dataclass, replace
from typing import Any, Literal, cast
from uuid import uuid4

from redis import Redis

Kind = Literal["facts", "name"]
Values = list[bytes | None]

REVISION, NAMED = "revision", "named"
"""Two fields that the scripts know by these names: under which revision facts were read, and what a
room's name may mean."""

TICKET_LIFE_MS = 60_000

OF_FILLER = ("filler", "ticket", "kept-facts", "kept-name")

BEGIN = """
local filler, ticket, kept_facts, kept_name, fresh_name = unpack(KEYS)
local number, ticket_life, filler_life = unpack(ARGV, 1, 3)
local named = fresh_name and redis.call('HGET', fresh_name, 'named')
if named then return {named} end
local claimed = redis.call('SET', filler, '1', 'NX', 'PX', filler_life)
local now = redis.call('TIME')
redis.call('SET', ticket, number, 'NX', 'PX', ticket_life)
local facts = redis.call('HMGET', kept_facts, unpack(ARGV, 4))
local name = redis.call('HMGET', kept_name, 'named', 'revision')
return {false, claimed and 1 or 0, now, redis.call('GET', ticket), facts, name}
"""
STORE = """
local ticket, fresh, kept, filler = unpack(KEYS)
local drawn, revision, fresh_until, kept_until = unpack(ARGV, 1, 4)
if filler then redis.call('DEL', filler) end
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
local ticket, fresh, kept, filler = unpack(KEYS)
local drawn, revision, fresh_until = unpack(ARGV)
if filler then redis.call('DEL', filler) end
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
    is_filler: bool = False
    """Whether nobody else is to read these facts until they are stored or renewed."""


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


def begin(redis: Redis, key: str, facts: Sequence[str], *, life_ms: int) -> Drawn:
    """A ticket with these fields of the kept facts, and what is kept of the name. Whose ticket
    `is_filler` is to read the facts: for `life_ms` nobody else is, until they are stored or
    renewed, or `release` is called."""
    return _begun(key, _begin(redis, key, OF_FILLER, facts, life_ms))


def named_or_begin(redis: Redis, key: str, facts: Sequence[str], *, life_ms: int) -> bytes | Drawn:
    """What the name may mean, where that may be served; else the same."""
    answers = _begin(redis, key, (*OF_FILLER, "fresh-name"), facts, life_ms)
    named: bytes | None = answers[0]
    return _begun(key, answers) if named is None else named


def _begin(
    redis: Redis, key: str, words: Sequence[str], facts: Sequence[str], life_ms: int
) -> list[Any]:
    keys, lives = [place(word, key) for word in words], (TICKET_LIFE_MS, life_ms)
    answers = redis.eval(BEGIN, len(keys), *keys, uuid4().hex, *lives, *facts, REVISION)
    return cast("list[Any]", answers)


def _begun(key: str, answers: Sequence[Any]) -> Drawn:
    _, claimed, now, number, of_facts, of_name = answers
    ticket = replace(_ticket(key, now, number), is_filler=claimed == 1)
    return Drawn(ticket, {"facts": of_facts, "name": of_name})


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
    now, _, number, *values = answers
    return Drawn(_ticket(key, now, number), dict(zip(kept, values, strict=True)))


def _ticket(key: str, now: Iterable[Any], number: bytes | None) -> Ticket:
    seconds, micros = map(int, now)
    return Ticket(key, (number or b"").decode(), seconds * 1000 + micros // 1000)


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
    keys = _places(ticket, kind)
    redis.eval(STORE, len(keys), *keys, ticket.number, revision, *until, *flat)


def renew(redis: Redis, ticket: Ticket, kind: Kind, *, revision: int, fresh_ms: int) -> None:
    """Make the kept entry fresh: after the ticket was drawn, the database had its revision."""
    until = ticket.drawn_at_ms + fresh_ms
    keys = _places(ticket, kind)
    redis.eval(RENEW, len(keys), *keys, ticket.number, revision, until)


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
    words = ["ticket", f"fresh-{kind}", f"kept-{kind}"]
    if ticket.is_filler and kind == "facts":
        words.append("filler")
    return [place(what, ticket.key) for what in words]
