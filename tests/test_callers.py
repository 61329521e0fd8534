"""Callers: a token is verified once, and remembered no longer than it is good."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.build import KEY, SECRET
from tests.doors import token, token_of
from webhooks.door.callers import Callers, WebhookToken
from webhooks.door.verify import LEEWAY, Rejected

HOUR = timedelta(hours=1)


@pytest.fixture
def keys() -> dict[str, str]:
    return {KEY: SECRET}


@pytest.fixture
def now() -> datetime:
    """The present: tokens are made for it."""
    return datetime.now(UTC)


@pytest.fixture
def callers(keys: dict[str, str]) -> Callers:
    return Callers(keys, most=3)


def test_a_token_that_was_verified_is_recognised(
    callers: Callers, keys: dict[str, str], now: datetime
) -> None:
    pupil = token("5", "quran-98")
    first = callers.of(pupil, now=now)
    keys.clear()
    again = callers.of(pupil, now=now)
    assert again == first
    assert (again.user_id, again.room, again.joins) == ("5", "quran-98", True)
    with pytest.raises(Rejected):
        callers.of(token("6", "quran-98"), now=now)


def test_from_its_expiry_on_the_verifier_decides_again(
    callers: Callers, keys: dict[str, str], now: datetime
) -> None:
    pupil, expires_at = token(), datetime.fromtimestamp(int(now.timestamp()), UTC) + HOUR
    expiring = token_of(sub="5", exp=int(expires_at.timestamp()))
    callers.of(expiring, now=now)
    callers.of(pupil, now=now)
    assert callers.of(expiring, now=expires_at).user_id == "5", "within the leeway"
    with pytest.raises(Rejected, match="expired"):
        callers.of(expiring, now=expires_at + LEEWAY)
    keys.clear()
    with pytest.raises(Rejected, match="issuer"):
        callers.of(expiring, now=expires_at)


@pytest.mark.parametrize("bad", [None, "", "no.jwt.atall", token_of(secret="wrong" * 8)])
def test_what_is_rejected_is_not_remembered(
    callers: Callers, now: datetime, bad: str | None
) -> None:
    for _ in range(2):
        with pytest.raises(Rejected):
            callers.of(bad, now=now)
    assert len(callers) == 0


def test_a_webhooks_token_opens_nothing_however_often_it_comes(
    callers: Callers, now: datetime
) -> None:
    for _ in range(2):
        with pytest.raises(WebhookToken, match="opens nothing"):
            callers.of(token_of(sha256="A" * 43 + "="), now=now)
    assert len(callers) == 0


def test_only_so_many_are_remembered(callers: Callers, now: datetime) -> None:
    for number in range(10):
        callers.of(token(f"pupil-{number}"), now=now)
        assert 1 <= len(callers) <= 3
