"""`python -m tests.bench [NAME …]`: measure, print the table, write bench.json.

ONLY=NAME in the environment does what arguments do. It stops by itself, after some twenty
minutes on two cores.
"""

from __future__ import annotations

import argparse
import os
from time import monotonic
from typing import Protocol

from rich.console import Console

from tests.bench import report
from tests.bench.crew import crew
from tests.bench.crowd import crowd
from tests.bench.draining import draining
from tests.bench.growth import growth
from tests.bench.ledger import ledger
from tests.bench.load import ceiling
from tests.bench.mail import get, pupil_token
from tests.bench.memory import memory
from tests.bench.polling import polling
from tests.bench.receiving import receiving
from tests.bench.refusing import refusing
from tests.bench.registering import registering
from tests.bench.replaying import replaying
from tests.bench.reports import reports
from tests.bench.rush import rush
from tests.bench.seeing import seeing
from tests.bench.sizing import sizing
from tests.bench.speed import speed
from tests.bench.stack import stack
from tests.bench.turns import ROUNDS, Figure
from tests.bench.weight import weight

CEILING_SECONDS, CEILING_CONNECTIONS = 2.0, 32


class Bench(Protocol):
    def __call__(self, *, rounds: int) -> list[Figure]: ...


BENCHES: dict[str, Bench] = {
    "receiving": receiving,
    "polling": polling,
    "refusing": refusing,
    "crowd": crowd,
    "draining": draining,
    "crew": crew,
    "seeing": seeing,
    "registering": registering,
    "replaying": replaying,
    "reports": reports,
    "ledger": ledger,
    "rush": rush,
    "sizing": sizing,
    "speed": speed,
    "growth": growth,
    "memory": memory,
    "weight": weight,
}

ON_DEMAND = {"reports", "sizing", "speed", "growth", "memory", "weight"}
"""What takes minutes by itself: `ONLY=growth`."""


def main() -> None:
    names, rounds = _asked()
    console = Console(stderr=True)
    request = get("/api/sessions/98/attendance-status", pupil_token("98", "5"))
    most = ceiling(request, seconds=CEILING_SECONDS, connections=CEILING_CONNECTIONS)
    console.print(f"The load generator itself asks for at most {most:,.0f} answers/s.")
    with stack("postgresql") as under:
        servers = under.versions()
    figures: list[Figure] = []
    for name in names:
        began = monotonic()
        with console.status(f"measuring {name} …"):
            figures += BENCHES[name](rounds=rounds)
        console.print(f"{name}: {monotonic() - began:.0f} s")
    report.show(figures)
    report.write(figures, ceiling=most, servers=servers)


def _asked() -> tuple[list[str], int]:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHES))
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    told = parser.parse_args()
    usual = [name for name in BENCHES if name not in ON_DEMAND]
    names = told.names or os.environ.get("ONLY", "").replace(",", " ").split() or usual
    for name in names:
        if name not in BENCHES:
            parser.error(f"{name} is none of {', '.join(BENCHES)}")
    return names, told.rounds


if __name__ == "__main__":
    main()
