"""Words that break things: for paths, queries, headers, JSON and webhooks alike."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any, Final

MARK: Final = "never-in-a-log"
"""Stands in every name, body and token of ours: a log that has it has told too much."""

TEXTS: Final = (
    "",
    "-",
    ".",
    "..",
    "98",
    "quran-98",
    "quran-98@2026-11-23",
    "meeting",
    "replay",
    "a/b",
    "a\\b",
    "%2e%2e",
    "\x00",
    "a\x00b",
    "\u202eabc",
    "صف",
    "😀" * 64,
    "😀" * 65,
    "x" * 256,
    "x" * 257,
    "x" * 5_000,
    "'; DROP TABLE cycles; --",
    "<img src=x onerror=alert(1)>",
    "{{7*7}}",
    "%s%n",
    "null",
    "true",
    "NaN",
    "-1",
    "0",
    "1e400",
    "9" * 400,
    "2026-11-23T14:00:00Z",
    "2026-11-23T14:00:00+99:00",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999Z",
    "2026-02-30T00:00:00Z",
    "=1+1",
    "\r\nX-Injected: 1",
    "\ufeff",
    "\ud800",
)

NUMBERS: Final = (
    0,
    -0.0,
    1,
    -1,
    0.1,
    2**31,
    2**53 + 1,
    2**63 - 1,
    2**63,
    -(2**63) - 1,
    10**30,
    1e308,
)


def text(dice: Random) -> str:
    """A word that somebody chose to hurt, or one of random letters."""
    if dice.random() < 0.7:
        return dice.choice(TEXTS)
    return "".join(
        chr(dice.choice((dice.randrange(0x20, 0x7F), dice.randrange(0xA0, 0xD7FF))))
        for _ in range(dice.randrange(1, 40))
    )


def value(dice: Random, depth: int = 3) -> Any:
    """Anything that JSON can say."""
    kinds: list[Callable[[], Any]] = [
        lambda: text(dice),
        lambda: dice.choice(NUMBERS),
        lambda: dice.choice((None, True, False)),
    ]
    if depth:
        kinds += [
            lambda: [value(dice, depth - 1) for _ in range(dice.randrange(4))],
            lambda: {text(dice): value(dice, depth - 1) for _ in range(dice.randrange(4))},
        ]
    return dice.choice(kinds)()


def mutated(dice: Random, told: Any) -> Any:
    """The same with something wrong in it, anywhere; often nothing."""
    if isinstance(told, dict):
        changed = {word: mutated(dice, it) for word, it in told.items()}
        if changed and dice.random() < 0.15:
            del changed[dice.choice(list(changed))]
        if dice.random() < 0.05:
            changed[text(dice)] = value(dice)
        return changed
    return value(dice) if dice.random() < 0.06 else told


def dumped(dice: Random, told: Any) -> bytes:
    """As JSON; now and then as something that only looks like it."""
    body = json.dumps(told, ensure_ascii=dice.random() < 0.5).encode("utf-8", "surrogatepass")
    return spoilt(dice, body) if dice.random() < 0.08 else body


def spoilt(dice: Random, body: bytes) -> bytes:
    """Cut, repeated, nested too deep, in another encoding, or with bytes turned."""
    return dice.choice(
        (
            lambda: body[: dice.randrange(len(body) + 1)],
            lambda: body + body,
            lambda: b"[" * 5_000,
            lambda: b'{"a":' * 2_000 + b"1" + b"}" * 2_000,
            lambda: body.decode("utf-8", "replace").encode("utf-16"),
            lambda: dice.randbytes(dice.randrange(200)),
            lambda: body.replace(b":", b": \\u0000", 1),
            lambda: body + b" " * 80_000,
        )
    )()
