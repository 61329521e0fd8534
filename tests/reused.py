"""What comes out the same for each test, made once for each test process.

A test that makes an application and an engine of its own would else compile the same routes and
statements again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import pytest
from redis import utils
from sqlalchemy import Connection, Dialect, Engine, event
from werkzeug.routing import Rule


@contextmanager
def routes() -> Iterator[None]:
    """Werkzeug compiles two functions for each route, which build its URL: of what they are made,
    the route says."""
    compiled: dict[Any, Any] = {}
    compile_builder = Rule._compile_builder

    def once(rule: Rule, append_unknown: bool = True) -> Any:
        defaults = tuple((rule.defaults or {}).items())
        key = (rule.rule, tuple(rule._trace), defaults, append_unknown)
        if key not in compiled:
            compiled[key] = compile_builder(rule, append_unknown)
        return compiled[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Rule, "_compile_builder", once)
        yield


class Statements(dict[Any, Any]):
    """Compiled statements of all engines, by the kind of dialect instead of an engine's own."""

    def get(self, key: Any, default: Any = None) -> Any:
        return super().get(_of_kind(*key), default)

    def __setitem__(self, key: Any, compiled: Any) -> None:
        super().__setitem__(_of_kind(*key), compiled)


def _of_kind(dialect: Dialect, *statement: Any) -> tuple[Any, ...]:
    version, dumps = dialect.server_version_info, dialect._json_serializer
    return (dialect.name, dialect.driver, dialect.paramstyle, version, dumps, *statement)


@contextmanager
def statements() -> Iterator[None]:
    """SQLAlchemy keeps what it compiled with each engine."""
    kept = Statements()

    def share(conn: Connection) -> None:
        conn.execution_options(compiled_cache=kept)

    event.listen(Engine, "engine_connect", share)
    try:
        yield
    finally:
        event.remove(Engine, "engine_connect", share)


@contextmanager
def version_of_redis() -> Iterator[None]:
    """redis-py reads its own version from its package's metadata for each connection."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(utils, "get_lib_version", cache(utils.get_lib_version))
        yield
