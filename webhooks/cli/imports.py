"""Imports: webhooks from a file, one a line, into the inbox: a proxy's log, or another receiver's.

A line is a webhook's bare body, or an object with `headers` and the `body` as text. What has a
fresh token is verified like any webhook; anything else is taken on the operator's word or not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import IO, Any

import orjson

from models.domain import event as events
from models.domain.json_fields import Unreadable
from models.ledger import incoming
from models.storage import db
from models.tables import webhook_event
from webhooks.door import verify
from webhooks.door.verify import Rejected
from worker.operations import pacing
from worker.process.backend import Backend

BATCH = 500
WRAPPING = 64 * 1024
"""Bytes that a line may have around its body."""


@dataclass(slots=True)
class Tally:
    """What became of the lines; those that were left out by number, with the reason."""

    stored: int = 0
    duplicate: int = 0
    unused: int = 0
    unreadable: list[tuple[int, str]] = field(default_factory=list)
    unverified: list[tuple[int, str]] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        return not self.unreadable and not self.unverified


def store(
    backend: Backend, file: IO[bytes], *, tally: Tally, trusted: bool, now: datetime
) -> Iterator[int]:
    """Put the file's events into the inbox, batch by batch; the bytes that were read so far.

    What is there already stays as it is: to import a file twice stores it once. Between batches
    the drain is waited for a moment, so that what LiveKit sends meanwhile comes through.
    """
    rows: list[dict[str, Any]] = []
    read = 0
    most = 2 * backend.settings.max_body_bytes + WRAPPING  # JSON text: a backslash for each quote
    try:
        for number, line in lines_of(file, most):
            read += len(line)
            if len(line) == most:
                tally.unreadable.append((number, "longer than any webhook"))
                continue
            row = _row(line, number, tally, backend=backend, trusted=trusted, now=now)
            if row is not None:
                rows.append(row)
            if len(rows) == BATCH:
                _insert(backend, rows, tally)
                yield read
                rows = []
    except OSError:  # the file's: what it gave until then is as good as ever
        _insert(backend, rows, tally)
        raise
    _insert(backend, rows, tally)
    yield read


def lines_of(file: IO[bytes], most: int) -> Iterator[tuple[int, bytes]]:
    """The lines by number; of one that is longer than `most` only so much."""
    number = 0
    while line := file.readline(most):
        number += 1
        yield number, line
        while not line.endswith(b"\n") and len(line) == most:
            line = file.readline(most)


def _row(
    line: bytes,
    number: int,
    tally: Tally,
    *,
    backend: Backend,
    trusted: bool,
    now: datetime,
) -> dict[str, Any] | None:
    """The inbox row of a line; None, and the reason in the tally, when it gives none."""
    if not line.strip():
        return None
    try:
        body, token = _unwrapped(line.strip())
        if not trusted:
            verify.webhook(body, token, keys=backend.keys, now=now)
        read = incoming.read(body, "import", now=now)
    except Unreadable as error:
        tally.unreadable.append((number, str(error)))
        return None
    except Rejected as error:
        tally.unverified.append((number, str(error)))
        return None
    if read is None:
        tally.unused += 1
        return None
    return read.row(received_at=now)


def _unwrapped(line: bytes) -> tuple[bytes, str | None]:
    """The body's own bytes, and the token that came with it."""
    wrapped = events.parse(line)
    if "body" not in wrapped or "event" in wrapped:
        return line, None
    body, headers = wrapped["body"], wrapped.get("headers")
    if isinstance(body, dict):  # parsed by whoever logged it, so no token can fit it any more
        return orjson.dumps(body), None
    if not isinstance(body, str):
        raise Unreadable("body is neither text nor an object")
    return body.encode(), _token(headers if isinstance(headers, dict) else {})


def _token(headers: Mapping[str, Any]) -> str | None:
    tokens = (value for name, value in headers.items() if name.lower() == "authorization")
    token = next(tokens, None)
    return token if isinstance(token, str) else None


def _insert(backend: Backend, rows: list[dict[str, Any]], tally: Tally) -> None:
    if not rows:
        return
    with db.writing(backend.engine) as conn:
        stored = len(webhook_event.insert_rows(conn, rows))
    tally.stored += stored
    tally.duplicate += len(rows) - stored
    pacing.give_way(backend)
