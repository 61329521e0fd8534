"""What may be at the URLs and origins of the settings, found out without connecting anywhere.

Each function raises ValueError with the end of a sentence that begins with the variable's name; in
none of them stands a password. What they need of SQLAlchemy and of PostgreSQL's driver is loaded
with the first URL of a database: the scheduler has none, and is 20 MiB smaller without them.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

from pydantic import AnyUrl, TypeAdapter, UrlConstraints, ValidationError
from redis import Redis
from redis.exceptions import RedisError

from models.settings import sentinel

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

LIVEKIT = TypeAdapter[AnyUrl](
    Annotated[AnyUrl, UrlConstraints(allowed_schemes=["http", "https", "ws", "wss"])]
)
RECEIVER = TypeAdapter[AnyUrl](Annotated[AnyUrl, UrlConstraints(allowed_schemes=["http", "https"])])

SECRET_PREFIX = "whsec_"  # noqa: S105  (no secret, but how each begins)
SECRET_BYTES = range(24, 65)
"""As Standard Webhooks 1.0.0 has it."""

ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[a-z0-9._-]+(:\d+)?")

PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)+")
OWN_PATHS = {"api", "docs", "healthz", "metrics", "openapi.json", "ops", "readyz", "sessions"}
OWN_PATHS |= {"static", "webhooks"}

SEVERAL_HOSTS = re.compile(
    r"(postgres[a-z+]*://(?:[^/?#]*@)?)"
    r"((?=[^@/?#]*:)[^@/?#,]*(?:,[^@/?#,]*)+)"  # one of them has a port
    r"([/?].*)?"
)
HOST = re.compile(r"^(\[[^\]]*\]|[^:]*)(?::(.*))?$")


def origin(text: str) -> str:
    """A web page's origin as browsers write it: no path, no default port, a host in ASCII.

    Flask-CORS compares text with text, but takes what has one of `*\\]?$^[]()` in it for a regular
    expression, in which each dot matches anything: so none of them may stand here.
    """
    try:
        written = str(AnyUrl(text)).removesuffix("/")
    except ValidationError:
        written = ""
    if not ORIGIN.fullmatch(written):
        raise ValueError(f"{text!r} is no origin such as https://app.example:8443, nor a lone *")
    return written


def prefix(path: str) -> str:
    """The path of another site under which Rollcall answers, without a slash at its end.

    It must not begin like a path of our own: a proxy may take it away, and nobody could tell.
    """
    path = path.rstrip("/")
    if not path:
        return ""
    if not PREFIX.fullmatch(path):
        raise ValueError("must be a path such as /rollcall, of letters, digits and -._~")
    if (first := path.split("/")[1]) in OWN_PATHS:
        raise ValueError(f"can't begin with /{first}, a path of Rollcall's own")
    return path


def livekit(url: str) -> str:
    """The address of LiveKit's API, without blanks around it."""
    try:
        return str(LIVEKIT.validate_python(url.strip())).removesuffix("/")
    except ValidationError:
        raise ValueError("must be an address such as https://livekit.example or wss://…") from None


def receivers(words: tuple[str, ...]) -> tuple[str, ...]:
    """The URLs that our own webhooks are sent to, each once."""
    for word in words:
        try:
            RECEIVER.validate_python(word)
        except ValidationError:
            raise ValueError(
                "must be addresses such as https://app.example/attendance, separated by commas"
            ) from None
    return tuple(dict.fromkeys(words))


def receiver_address(url: str) -> str:
    """Where a receiver is, for people: no user, no password, no query."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"


def signing_secrets(words: tuple[str, ...]) -> tuple[str, ...]:
    """Secrets as Standard Webhooks writes them."""
    for word in words:
        encoded = word.removeprefix(SECRET_PREFIX)
        padding = "=" * (-len(encoded) % 4)
        try:
            secret = base64.b64decode(encoded + padding, validate=True)
        except (binascii.Error, ValueError):
            secret = b""
        if encoded == word or len(secret) not in SECRET_BYTES:
            raise ValueError("must be whsec_ and the base64 of 24 to 64 random bytes")
    return words


def redis(url: str) -> str:
    """A URL that redis-py can connect with: it makes the connection, which connects nowhere yet."""
    if sentinel.is_sentinel(url):
        return _behind_sentinel(url)
    if not url.startswith(("redis://", "rediss://", "unix://")):
        raise ValueError(
            "must begin with redis://, rediss://, unix://, redis+sentinel:// or rediss+sentinel://"
        )
    try:
        Redis.from_url(url).connection_pool.make_connection()
    except (TypeError, ValueError, RedisError):
        raise ValueError("is no Redis URL, or has an option that its scheme lacks") from None
    number = urlsplit(url).path.strip("/")
    if not url.startswith("unix://") and number and not number.isdecimal():
        raise ValueError("must end in the database's number, such as /0")
    return url


def _behind_sentinel(url: str) -> str:
    parsed = sentinel.parse(url)
    try:
        client = parsed.client(Redis)
        client.connection_pool.make_connection()
    except (TypeError, ValueError, RedisError):
        raise ValueError("has an option that its scheme lacks") from None
    return url


def database(url: str) -> str:
    """A URL that names a SQLite file, or that libpq can read."""
    from sqlalchemy.exc import ArgumentError  # noqa: PLC0415

    try:
        parsed = parse_database(url)
    except (ArgumentError, ValueError):
        raise ValueError("is no database URL, such as postgresql://host/name") from None
    check = DRIVERS.get(parsed.drivername)
    if check is None:
        raise ValueError(f"must be postgresql:// or sqlite:///, not {parsed.drivername}://")
    check(parsed)
    return url


def standby(url: str) -> str:
    """The URL of a standby of PostgreSQL."""
    if url.startswith("sqlite"):
        raise ValueError("must be postgresql://: SQLite has no standby")
    return database(url)


def parse_database(url: str) -> URL:
    """SQLAlchemy's URL. It can't read the ports of several hosts, as in `h1:5432,h2:5432`, which
    libpq can."""
    from sqlalchemy.engine import make_url  # noqa: PLC0415

    parts = SEVERAL_HOSTS.fullmatch(url)
    if parts is None:
        return make_url(url)
    before, listed, after = parts.groups()
    hosts, ports = (
        ",".join(HOST.sub(part, host).strip("[]") for host in listed.split(","))
        for part in (r"\1", r"\2")
    )
    return make_url(f"{before}{after or '/'}").update_query_dict({"host": hosts, "port": ports})


def database_address(url: str) -> str:
    """Where the database is, for logs: no user, no password, no options."""
    parsed = parse_database(url)
    hosts, ports = (str(parsed.query.get(name, "")) for name in ("host", "port"))
    at = parsed.host or hosts
    port = parsed.port or ports
    return f"{parsed.get_backend_name()}://{at}{f':{port}' if port else ''}/{parsed.database or ''}"


def redis_address(url: str) -> str:
    """Where Redis is, for logs: no user, no password, no options."""
    if sentinel.is_sentinel(url):
        return sentinel.address(url)
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path}"


def _sqlite(url: URL) -> None:
    if url.host or url.database in (None, "", ":memory:"):
        raise ValueError("must name a file, sqlite:///path: each process has a memory of its own")
    if url.query:
        raise ValueError("can't have options after ? for SQLite")


def _postgresql(url: URL) -> None:
    """Only libpq knows its options, and says at each connection that another's is none of them."""
    from psycopg import ProgrammingError, conninfo  # noqa: PLC0415
    from sqlalchemy.exc import ArgumentError  # noqa: PLC0415

    try:
        dialect = url.set(drivername="postgresql+psycopg").get_dialect()()
        _, options = dialect.create_connect_args(url)
        given = conninfo.conninfo_to_dict(conninfo.make_conninfo(**options))
        conninfo.timeout_from_conninfo(given)
    except (ArgumentError, ProgrammingError) as error:
        raise ValueError(f"can't be read by PostgreSQL's driver: {error}".strip()) from None


DRIVERS: dict[str, Callable[[URL], None]] = {
    "sqlite": _sqlite,
    "sqlite+pysqlite": _sqlite,
    "postgres": _postgresql,
    "postgresql": _postgresql,
    "postgresql+psycopg": _postgresql,
}
