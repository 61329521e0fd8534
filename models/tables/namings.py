"""Namings: rooms whose metadata names a session, and whether they may."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from sqlalchemy import Connection

from models.domain.facts import Room, Session
from models.tables import session


def valid(conn: Connection, lives: Sequence[Room], registered: Iterable[Session]) -> list[Room]:
    """The rooms, without the names of registered sessions that their metadata may not name."""
    names = {life.named_session for life in lives if life.named_session}
    if not names:
        return list(lives)
    known = {each.id: each for each in registered}
    known |= session.registered(conn, names - known.keys())
    return [life if _may_name(life, known) else replace(life, named_session=None) for life in lives]


def ignored(conn: Connection, lives: Sequence[Room]) -> list[Room]:
    """Those of the rooms whose metadata names a session that is registered for other rooms."""
    known = session.registered(conn, {life.named_session for life in lives if life.named_session})
    return [life for life in lives if not _may_name(life, known)]


def _may_name(life: Room, registered: Mapping[str, Session]) -> bool:
    named = registered.get(life.named_session or "")
    return named is None or named.is_registered_for(life.name)
