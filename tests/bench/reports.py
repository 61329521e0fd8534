"""Reports: of a course with two million events stored, and of an academy.

The academy has 2,000 sessions: with 10,000 a busy machine takes longer than the two minutes for
which a connection may be silent.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from time import perf_counter

import psutil

from tests.bench.grown import grown
from tests.bench.load import BenchFailed
from tests.bench.mail import server_token
from tests.bench.stack import Stack
from tests.bench.terms import Terms
from tests.bench.turns import Figure, Goal, Measure, in_turns

STORED = 2_000_000
COURSE = Terms("course", courses=1, lessons=60)
ACADEMY = Terms("academy", courses=40, lessons=50)

MOST_MS, LEAST_RATE, MOST_MIB = 300, 20_000, 20
READING_SECONDS = 300
MEBIBYTE = 1024 * 1024

OF_COURSE = "course_id=course-1"
OF_ACADEMY = "academy_id=academy&format=csv"


def reports(*, rounds: int) -> list[Figure]:
    with _stored() as under, under.web() as port:
        course = in_turns(
            {
                "JSON": lambda: _ms(port, OF_COURSE),
                "a grid of people and sessions": lambda: _ms(port, f"{OF_COURSE}&grid=1"),
                "CSV": lambda: _ms(port, f"{OF_COURSE}&format=csv"),
            },
            rounds=rounds,
        )
        small = _peak()
        academy = in_turns({"a line a person": _rate(port)}, rounds=rounds)
        grown_by = _peak() - small
        lines = in_turns({"a line for each in each session": _rate(port, "&grid=1")}, rounds=rounds)
    return [_of_course(course), _of_academy(academy | lines, grown_by)]


@contextmanager
def _stored() -> Iterator[Stack]:
    with grown(STORED) as under:
        for terms in (COURSE, ACADEMY):
            terms.store(under)
        yield under


def _of_course(turns: dict[str, list[float]]) -> Figure:
    title = f"a report of a course: {COURSE.sessions} sessions x {COURSE.people} people"
    figure = Figure(f"{title}, {STORED:,} events stored", "ms", turns)
    for name in turns:
        figure.goals.append(Goal(f"{name} < {MOST_MS} ms", figure.median(name), MOST_MS, most=True))
    return figure


def _of_academy(turns: dict[str, list[float]], grown_by: float) -> Figure:
    title = (
        f"a report of an academy as CSV: {ACADEMY.sessions:,} sessions x {ACADEMY.people} people"
    )
    figure = Figure(title, "attendances/s", turns)
    for name in turns:
        figure.goals.append(
            Goal(f"{name} at least {LEAST_RATE:,}/s", figure.median(name), LEAST_RATE)
        )
    memory = "peak memory beyond a course's, a line a person"
    figure.goals.append(Goal(f"{memory} at most {MOST_MIB} MiB", grown_by, MOST_MIB, most=True))
    figure.notes[memory] = f"{grown_by:.1f} MiB"
    return figure


def _rate(port: int, more: str = "") -> Measure:
    return lambda: ACADEMY.attendances / _ms(port, OF_ACADEMY + more) * 1000


def _ms(port: int, query: str) -> float:
    """Milliseconds until a whole report was read."""
    connection = HTTPConnection("127.0.0.1", port, timeout=READING_SECONDS)
    began = perf_counter()
    headers = {"Authorization": f"Bearer {server_token()}"}
    connection.request("GET", f"/api/reports/attendance?{query}", headers=headers)
    answer = connection.getresponse()
    length = sum(map(len, iter(lambda: answer.read(MEBIBYTE), b"")))
    connection.close()
    if answer.status != 200 or length < 1_000:
        raise BenchFailed(f"{query} was answered {answer.status}, {length} bytes")
    return (perf_counter() - began) * 1000


def _peak() -> float:
    """The most memory that the web process has had, in MiB."""
    peaks = []
    for process in psutil.Process().children(recursive=True):
        if "-m" in (words := process.cmdline()) and words[words.index("-m") + 1].startswith("web"):
            status = Path(f"/proc/{process.pid}/status").read_text()
            [line] = [each for each in status.splitlines() if each.startswith("VmHWM:")]
            peaks.append(int(line.split()[1]) / 1024)
    return sum(peaks)
