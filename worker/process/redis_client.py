"""A client of redis-py for REDIS_URL, which names a server or the Sentinels that know it."""

from __future__ import annotations

from typing import Any, TypeVar, cast

from redis import Redis

from models.settings import sentinel

Client = TypeVar("Client", bound=Redis)


def connect(url: str, kind: type[Client], **options: Any) -> Client:
    """It connects nowhere yet."""
    if sentinel.is_sentinel(url):
        return sentinel.parse(url).client(kind, **options)
    return cast("Client", kind.from_url(url, **options))
