"""Whatever happens, kept facts are the database's: every change says whose it changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from random import Random

import pytest
from sqlalchemy import select, update

from models.domain.event import Event
from models.domain.facts import Meeting
from models.storage import db
from models.tables.cycle import cycles
from models.tables.room import rooms
from models.tables.session import sessions
from tests.build import Words, aborted, joined, left, room_finished, room_started
from tests.doors import Rollcall, a_worker, ago, token, told
from tests.faults import free_port
from worker.cache import cache
from worker.cache.cache import Facts
from worker.operations import erase, rebuild

STEPS = 30
NAMES, USERS = ("a", "b"), ("5", "6", "guest")
ROOMS = {"RM_1": "a", "RM_2": "a", "RM_3": "b", "RM_4": "b"}
IDS = ("97", "98", "a")


class Day:
    """What may happen to a few people in a few rooms, in any order, nonsense included."""

    def __init__(self, rollcall: Rollcall, seed: int) -> None:
        self.rollcall, self.dice = rollcall, Random(seed)
        self.visits: list[tuple[str, str]] = []

    def step(self) -> str:
        """One thing happens; its name."""
        doors: list[Callable[[], object]] = [
            *[self.webhooks] * 6,
            *[self.by_hand] * 2,
            *[self.registration] * 2,
            self.corruption,
            self.erasure,
        ]
        door = self.dice.choice(doors)
        door()
        return door.__name__

    def webhooks(self) -> None:
        """A participant's sid in another room than before too: LiveKit sends no such thing."""
        told_of = [self._webhook() for _ in range(self.dice.randint(1, 4))]
        self.rollcall.put_in(told_of)
        self.rollcall.drain()

    def _webhook(self) -> Event:
        dice, room = self.dice, self.dice.choice(list(ROOMS))
        number, when = dice.randint(1, 6), ago(dice.randint(1, 200))
        words: Words = {
            "room": room,
            "room_name": ROOMS[room] if dice.random() < 0.9 else dice.choice(NAMES),
            "names": dice.choice([None, None, None, "97", "98"]),
            "room_created": dice.choice([None, ago(200 + int(room[-1]))]),
            "event_id": f"EV_{dice.random()}",
        }
        if dice.random() < 0.3:
            return dice.choice([room_started, room_finished])(when, **words)
        visit: Words = {**words, "sid": f"PA_{number}", "user": USERS[number % 2]}
        return dice.choice([joined, joined, left, aborted])(when, **visit)

    def by_hand(self) -> None:
        if self.visits and self.dice.random() < 0.4:
            visit, room = self.dice.choice(self.visits)
            self.rollcall.leave(visit, of=token("guest", room=room))
            return
        room = self.dice.choice(NAMES)
        answer = self.rollcall.join(room, of=token("guest", room=room))
        if answer.status_code in (200, 201):
            self.visits.append((told(answer)["visit"], room))

    def registration(self) -> None:
        session_id = self.dice.choice(IDS)
        if self.dice.random() < 0.3:
            self.rollcall.delete(session_id)
            return
        scheduled = self.dice.choice([None, ago(205).isoformat(), ago(30).isoformat()])
        room = self.dice.choice(NAMES)
        self.rollcall.put(session_id, room_name=room, scheduled_at=scheduled, duration_minutes=60)

    def corruption(self) -> None:
        """By somebody's hand, and seen by everybody; then it is mended."""
        backend = self.rollcall.backend
        with db.writing(backend.engine) as conn:
            sid = f"PA_{self.dice.randint(1, 6)}"
            moved = update(cycles).where(cycles.c.cycle_id == sid)
            conn.execute(moved.values(room_sid=self.dice.choice(list(ROOMS))))
            room = update(rooms).where(rooms.c.sid == self.dice.choice(list(ROOMS)))
            conn.execute(room.values(named_session=self.dice.choice([None, *IDS])))
            visits = update(cycles).where(cycles.c.room_sid.is_(None))
            conn.execute(visits.values(named_session=self.dice.choice([None, *IDS])))
        backend.redis.flushdb()
        everybody(self.rollcall)
        for find in rebuild.extents(backend):
            rebuild.rebuilt(backend, find, remove=True, now=datetime.now(UTC))

    def erasure(self) -> None:
        erase.erase(self.rollcall.backend, self.dice.choice(USERS))


def everybody(rollcall: Rollcall) -> dict[tuple[str, str], Facts]:
    """What each person's status in each session is made of, as the cache has it now."""
    return {one: cache.read(rollcall.backend, *one) for one in addresses(rollcall)}


def addresses(rollcall: Rollcall) -> Iterable[tuple[str, str]]:
    with db.reading(rollcall.backend.engine) as conn:
        found = set(conn.execute(select(sessions.c.id)).scalars())
        people = set(conn.execute(select(cycles.c.user_id)).scalars())
    asked = sorted({*found, *IDS, *NAMES})
    return [(address, user) for address in asked for user in sorted({*people, *USERS})]


def bare(meeting: Meeting | None) -> Meeting | None:
    """Without the people it expects, whom the cache leaves out."""
    return meeting and replace(meeting, session=replace(meeting.session, expected=()))


@pytest.mark.parametrize("seed", range(2))
def test_kept_facts_are_the_database_s(rollcall: Rollcall, seed: int) -> None:
    day, hits = Day(rollcall, seed), 0
    away = {"redis_url": f"redis://127.0.0.1:{free_port()}/0"}
    with a_worker(rollcall.backend.settings.model_copy(update=away)) as without_redis:
        for number in range(STEPS):
            everybody(rollcall)
            what = day.step()
            for (address, user), kept in everybody(rollcall).items():
                stored = cache.read(without_redis, address, user)
                said = f"step {number}: {what}: {user} in {address}"
                assert bare(kept.meeting) == bare(stored.meeting), said
                assert list(kept.cycles) == list(stored.cycles), said
                hits += kept.outcome == "hit"
    assert hits > STEPS, "or nothing was kept that could have been wrong"


def test_a_visit_that_a_rebuild_moves_is_gone_from_where_it_was(rollcall: Rollcall) -> None:
    backend = rollcall.backend
    rollcall.deliver(
        joined(ago(9), names="98"),
        joined(ago(9), names="97", sid="PA_2", user="6", room="RM_2", room_name="b"),
    )
    with db.writing(backend.engine) as conn:
        conn.execute(update(cycles).where(cycles.c.cycle_id == "PA_1").values(room_sid="RM_2"))
    assert len(everybody(rollcall)["97", "5"].cycles) == 1
    [find] = rebuild.extents(backend, "98")
    rebuild.rebuilt(backend, find, remove=True, now=datetime.now(UTC))
    assert not everybody(rollcall)["97", "5"].cycles
    assert len(everybody(rollcall)["98", "5"].cycles) == 1


def test_a_room_that_turns_out_to_be_older_is_no_longer_what_its_name_means(
    rollcall: Rollcall,
) -> None:
    rollcall.deliver(
        joined(ago(90), names="97", room_name="a", room_created=ago(100)),
        joined(ago(40), room_created=ago(50), sid="PA_2", room="RM_2", room_name="a", names="98"),
    )
    assert home(rollcall, "a") == "98"
    rollcall.deliver(
        left(ago(1), room_created=ago(200), sid="PA_2", room="RM_2", room_name="a", names="98")
    )
    assert home(rollcall, "a") == "97"


def home(rollcall: Rollcall, name: str) -> str:
    """The session that a room's name means."""
    meeting = everybody(rollcall)[name, "5"].meeting
    assert meeting is not None
    return meeting.session.id
