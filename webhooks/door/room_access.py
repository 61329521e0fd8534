"""Which sessions a room's token may ask for, decided before anything is read of them.

A session that the token's room has nothing to do with costs one small statement, as one that is not
there does, and leaves nothing anywhere. What a token may see of the others, their facts say.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Engine

from models.domain import ownership
from models.domain.facts import Rules
from models.lookup import visibility
from models.storage import db
from webhooks.door.callers import Caller
from webhooks.door.problems import forbidden

MOST = 20_000
"""Pairs that a process remembers, some 200 bytes each; with one more it begins anew."""

REMEMBERED = timedelta(minutes=10)
"""A pair that is none any more costs a look at the facts, which then refuse."""


@dataclass(slots=True)
class RoomAccess:
    """The rooms and addresses that go together, as the database said lately. One for all threads of
    a process."""

    engine: Engine
    rules: Rules
    most: int = MOST
    _until: dict[tuple[str, str], datetime] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._until)

    def check(self, caller: Caller, asked: str, user_id: str | None, *, now: datetime) -> None:
        """Raise Problem: 403, when this caller may not see this person (None: everybody) in any
        session that the address may mean."""
        if caller.operates:
            return
        if caller.room is None or not caller.may_see(user_id, in_own_room=True):
            raise forbidden()
        if not self._may_ask(caller.room, asked, now):
            raise forbidden()

    def _may_ask(self, room_name: str, asked: str, now: datetime) -> bool:
        until = self._until.get((room_name, asked))
        if asked == room_name or (until is not None and now < until):
            return True
        if asked == ownership.made_id(room_name, now, self.rules):
            return True
        with db.reading(self.engine) as conn:
            may = visibility.may_mean(conn, asked, room_name)
        if may:
            if len(self._until) >= self.most:
                self._until = {}
            self._until[room_name, asked] = now + REMEMBERED
        return may
