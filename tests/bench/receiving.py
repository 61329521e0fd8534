"""Webhooks acknowledged, their row committed, beside the verifier alone on the same server, and
beside the peer, which keeps nothing durable.

The verifier runs in one process, and is compared with one; the peer runs in two, and with two.
"""

from __future__ import annotations

from contextlib import ExitStack
from statistics import median

from sqlalchemy import func, select

from models.tables.webhook_event import webhook_events
from tests.bench.load import BenchFailed, Load, drive
from tests.bench.mail import Classes
from tests.bench.stack import Stack, floors, peer, stack
from tests.bench.turns import Figure, Goal, in_turns

ROOMS, PEOPLE = 32, 30
TURN_SECONDS = 3.0
EVENTS_A_TURN = 10_000
"""Each event is sent once, so that each is stored; a turn ends early when they run out."""

OURS, TWO = "rollcall, PostgreSQL", "rollcall, PostgreSQL, two processes"
FLOOR, PEER = "verify only", "peer, nothing durable"


class Receiver:
    """A receiver under load, and what came of every turn; its first turn warms it up."""

    def __init__(self, port: int, prefix: str) -> None:
        self.port, self.turns = port, list[Load]()
        self.classes = Classes(rooms=ROOMS, people=PEOPLE, prefix=prefix)

    def measure(self) -> float:
        lanes = self.classes.lanes(EVENTS_A_TURN)
        self.turns.append(drive(self.port, lanes, seconds=TURN_SECONDS).only(204))
        return self.turns[-1].rate

    @property
    def p99_ms(self) -> float:
        return round(median(turn.percentile(99) for turn in self.turns[1:]), 1)


def receiving(*, rounds: int) -> list[Figure]:
    """Nothing drains meanwhile: all sides do the receiver's work and no other."""
    with ExitStack() as resources:
        embedded = resources.enter_context(stack("sqlite"))
        production = resources.enter_context(stack("postgresql"))
        urls = production.database_url, production.redis_url
        receivers = {
            OURS: Receiver(resources.enter_context(production.web()), "pg"),
            TWO: Receiver(resources.enter_context(production.web(WEB_PROCESSES="2")), "pg2"),
            FLOOR: Receiver(resources.enter_context(floors(production.redis_url)), "floor"),
            PEER: Receiver(resources.enter_context(peer(*urls)), "peer"),
            "rollcall, SQLite": Receiver(resources.enter_context(embedded.web()), "lite"),
        }
        turns = in_turns({name: one.measure for name, one in receivers.items()}, rounds=rounds)
        _check(production, receivers[OURS], receivers[TWO])
        _check(embedded, receivers["rollcall, SQLite"])
    figure = Figure("webhooks acknowledged, row committed", "events/s", turns)
    p99 = receivers[TWO].p99_ms / receivers[PEER].p99_ms
    figure.goals.extend(
        [
            Goal(">= 70% of verify only", figure.ratio(FLOOR), 0.7),
            Goal(">= 2 times the peer, two processes each", figure.ratio(PEER, of=TWO), 2),
            Goal("p99 no higher than the peer's", p99, 1, most=True),
        ]
    )
    figure.notes.update({f"p99 ms, {name}": one.p99_ms for name, one in receivers.items()})
    return [figure]


def _check(stack: Stack, *receivers: Receiver) -> None:
    """Everything that was acknowledged is in the inbox."""
    acknowledged = sum(turn.answered for one in receivers for turn in one.turns)
    with stack.engine.connect() as conn:
        stored = conn.execute(select(func.count()).select_from(webhook_events)).scalar_one()
    if stored != acknowledged:
        raise BenchFailed(f"{stack.name}: {acknowledged} acknowledged, {stored} stored")
