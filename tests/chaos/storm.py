"""The storm: faults drawn by a seed, each repaired after a moment, two at a time at most."""

from __future__ import annotations

import random
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, count
from typing import Literal

from tests.chaos.deployment import Deployment

What = Literal["kill", "kill_a_child", "stop", "hang", "wipe", "read_only", "fill"]

FIRST: tuple[tuple[str, What], ...] = (("postgres", "read_only"), ("valkey", "fill"))
"""What each of the two hands begins with, so that no storm is without: the database and Redis
answer, and take nothing."""

CALM_SECONDS = (0.2, 2.0)
FAULT_SECONDS = (0.2, 5.0)
WEB_SECONDS = (0.1, 1.5)
"""LiveKit gives an event up after 15 s of refused connections, and a web process takes time to
start; our 503s it minds for 28 s."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What was done to which part, from when until it did its work again."""

    part: str
    what: What
    began_at: datetime
    repaired_at: datetime


class Storm:
    """Rages from `raging` until `calm`; then `faults` has what happened."""

    def __init__(self, deployment: Deployment, seed: int) -> None:
        self._deployment = deployment
        self._over, self._lock = threading.Event(), threading.Lock()
        self._busy: set[str] = set()
        self.failures: list[str] = []
        self.faults: list[Fault] = []
        self._hands = [
            threading.Thread(target=self._rage, args=(random.Random(f"{seed}-{hand}"), first))
            for hand, first in enumerate(FIRST)
        ]

    @contextmanager
    def raging(self) -> Iterator[None]:
        for hand in self._hands:
            hand.start()
        try:
            yield
        finally:
            self.calm()

    def calm(self) -> None:
        """Returns when all is repaired, or found to be beyond repair: see `failures`."""
        self._over.set()
        for hand in self._hands:
            hand.join()

    def _rage(self, dice: random.Random, first: tuple[str, What]) -> None:
        draws = chain([first], (dice.choice(self._possible()) for _ in count()))
        while not self._over.wait(dice.uniform(*CALM_SECONDS)):
            part, what = next(draws)
            seconds = dice.uniform(*(WEB_SECONDS if part == "web" else FAULT_SECONDS))
            if self._take(part):
                self._do(part, what, seconds)

    def _possible(self) -> list[tuple[str, What]]:
        parts = [*self._deployment.processes, "postgres", "postgres", "valkey", "valkey"]
        whats: list[What] = ["kill", "stop", "hang"]
        faults = [(part, what) for part in parts for what in whats]
        return [*faults, *FIRST, ("web", "kill_a_child"), ("valkey", "wipe"), ("valkey", "wipe")]

    def _take(self, part: str) -> bool:
        with self._lock:
            if part in self._busy:
                return False
            self._busy.add(part)
            return True

    def _do(self, part: str, what: What, seconds: float) -> None:
        began_at = datetime.now(UTC)
        try:
            self._deployment.suffer(part, what, pause=lambda: self._over.wait(seconds))
        except (AssertionError, subprocess.TimeoutExpired) as error:
            self.failures.append(f"{part} did not get over {what}: {error}")
        finally:
            self._busy.discard(part)
        self.faults.append(Fault(part, what, began_at, datetime.now(UTC)))
