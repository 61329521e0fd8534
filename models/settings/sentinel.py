"""Redis behind Sentinel, by a URL: `redis+sentinel://user:password@host:26379,host:26379/service/0`.

redis-py has no URL for it. This is the form that other Python programs take; what stands behind
`?` is redis-py's own, and with `sentinel_` before it is for the Sentinels themselves.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, TypeVar

from redis import Redis
from redis.connection import parse_url
from redis.sentinel import Sentinel

SCHEMES = ("redis+sentinel://", "rediss+sentinel://")
PORT = 26379

URL = re.compile(
    r"(?P<scheme>rediss?)\+sentinel://(?P<user>(?:[^@/?#]*@)?)(?P<hosts>[^@/?#]+)"
    r"/(?P<service>[^/?#]+)(?P<database>(?:/\d*)?)(?P<options>(?:\?.*)?)"
)
HOST = re.compile(r"(?:\[(?P<ipv6>[^\]]+)\]|(?P<name>[^:\[\]]+))(?::(?P<port>\d{1,5}))?")

FOR_SENTINELS = "sentinel_"
SHARED = ("ssl", "socket_")
"""What redis-py's options for the primary, Sentinels take as well, begin with."""

Client = TypeVar("Client", bound=Redis)


@dataclass(frozen=True, slots=True)
class SentinelUrl:
    """Which Sentinels to ask for the primary of which service, and how to connect to each."""

    sentinels: tuple[tuple[str, int], ...]
    service: str
    to_primary: dict[str, Any]
    to_sentinels: dict[str, Any]

    def client(self, kind: type[Client], **options: Any) -> Client:
        """A client of whatever is the primary when it connects; it connects nowhere yet.

        `options` count for connections to the primary; their times and retries for all.
        """
        shared = {name: options[name] for name in options if name.startswith(("socket_", "retry"))}
        made = Sentinel(  # type: ignore[no-untyped-call]  # redis-py's
            self.sentinels, sentinel_kwargs=self.to_sentinels | shared, **self.to_primary
        )
        client: Client = made.master_for(  # type: ignore[no-untyped-call]  # redis-py's
            self.service, redis_class=kind, **options
        )
        return client


def is_sentinel(url: str) -> bool:
    return url.startswith(SCHEMES)


def parse(url: str) -> SentinelUrl:
    """Raises ValueError with the end of a sentence, in which no password stands."""
    parts = URL.fullmatch(url)
    if parts is None:
        raise ValueError(
            "must name its Sentinels and a service, as redis+sentinel://host:26379,…/mymaster/0"
        )
    sentinels = tuple(_host(text) for text in parts["hosts"].split(","))
    plain = f"{parts['scheme']}://{parts['user']}primary{parts['database']}{parts['options']}"
    options: dict[str, Any] = parse_url(plain)  # type: ignore[no-untyped-call]  # redis-py's
    options.pop("host")
    if options.pop("connection_class", None):
        options["ssl"] = True
    own = {name: value for name, value in options.items() if name.startswith(FOR_SENTINELS)}
    to_primary = {name: value for name, value in options.items() if name not in own}
    shared = {name: value for name, value in to_primary.items() if name.startswith(SHARED)}
    to_sentinels = shared | {name.removeprefix(FOR_SENTINELS): own[name] for name in own}
    return SentinelUrl(sentinels, parts["service"], to_primary, to_sentinels)


def address(url: str) -> str:
    """Where it is, for logs: no user, no password, no options."""
    parts = URL.fullmatch(url)
    if parts is None:
        return SCHEMES[0]
    where = f"{parts['hosts']}/{parts['service']}{parts['database']}"
    return f"{parts['scheme']}+sentinel://{where}"


def _host(text: str) -> tuple[str, int]:
    host = HOST.fullmatch(text)
    if host is None:
        raise ValueError("has a Sentinel that is no host:port")
    return host["ipv6"] or host["name"], int(host["port"] or PORT)
