"""Posting one body to one receiver, signed as Standard Webhooks 1.0.0 has it.

No redirect is followed, and nothing of an answer is kept but its status: what it says may be about
people. No proxy of the environment is used, and no cookie is kept.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import aiohttp
import structlog
from standardwebhooks import Webhook

from models.settings.version import version

ANSWER_SECONDS = 15.0
"""What a receiver has for its answer."""

LONGEST_WAIT = timedelta(days=1)
"""That a receiver may ask for by `Retry-After`."""

MOST_DIGITS = 10
"""Of seconds in `Retry-After`: no date is further away."""

log = structlog.get_logger()

FAILURES = (aiohttp.ClientError, TimeoutError, OSError, ValueError)


@dataclass(frozen=True, slots=True)
class Message:
    """What is posted: the id stays the same each time that it is."""

    delivery_id: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Outcome:
    """`error` is None when the receiver took it. `answered`: whether it said anything at all;
    `gone`: it wants no more. `wait`: how long it asks us to."""

    error: str | None = None
    answered: bool = True
    gone: bool = False
    wait: timedelta = timedelta(0)


def post_all(url: str, messages: Sequence[Message], secrets: Sequence[str]) -> list[Outcome]:
    """Post all of these to one receiver at once; what became of each."""
    return asyncio.run(_post_all(url, messages, secrets))


async def _post_all(url: str, messages: Sequence[Message], secrets: Sequence[str]) -> list[Outcome]:
    async with aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,  # nobody reads the body
    ) as http:
        posts = (_post(http, url, each, secrets) for each in messages)
        outcomes = await asyncio.gather(*posts, return_exceptions=True)
    return [_known(each) for each in outcomes]


def _known(outcome: Outcome | BaseException) -> Outcome:
    """What nobody foresaw of one answer must not leave the others unmarked: they would be posted
    again."""
    if isinstance(outcome, Exception):
        log.error("delivery.unforeseen", exc_info=outcome)
        return Outcome(_reason(outcome), answered=False)
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


async def _post(
    http: aiohttp.ClientSession, url: str, message: Message, secrets: Sequence[str]
) -> Outcome:
    headers = signed(message, secrets, at=datetime.now(UTC))
    try:
        async with http.post(
            url, data=message.body, headers=headers, allow_redirects=False
        ) as answer:
            return _outcome(answer.status, answer.headers.get("Retry-After", ""))
    except FAILURES as error:
        return Outcome(_reason(error), answered=False)


def signed(message: Message, secrets: Sequence[str], *, at: datetime) -> dict[str, str]:
    """The headers of this message when it is posted at `at`; a signature with each secret."""
    body = message.body.decode()
    signatures = [Webhook(secret).sign(message.delivery_id, at, body) for secret in secrets]
    return {
        "Content-Type": "application/json",
        "User-Agent": f"Rollcall/{version()}",
        "webhook-id": message.delivery_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def _outcome(status: int, retry_after: str) -> Outcome:
    if 200 <= status < 300:
        return Outcome()
    wait = min(_asked_for(retry_after, datetime.now(UTC)), LONGEST_WAIT)
    return Outcome(f"HTTP {status}", gone=status == 410, wait=wait)


def _asked_for(retry_after: str, now: datetime) -> timedelta:
    """How long: a number of seconds, or a date. What is neither asks for nothing."""
    if retry_after.isdecimal() and len(retry_after) < MOST_DIGITS:
        return timedelta(seconds=int(retry_after))
    try:
        at = parsedate_to_datetime(retry_after)
    except (ValueError, OverflowError):
        return timedelta(0)
    return max((at if at.tzinfo else at.replace(tzinfo=UTC)) - now, timedelta(0))


def _reason(error: Exception) -> str:
    """In no word of it stands the address, which may have a password."""
    if isinstance(error, TimeoutError):
        return f"no answer within {ANSWER_SECONDS:g} s"
    if isinstance(error, aiohttp.ClientConnectorError):
        number = error.os_error.errno or 0
        why = os.strerror(number) if number > 0 else type(error.os_error).__name__
        return f"no connection: {why}"
    return f"no answer: {type(error).__name__}"
