"""The rows of sessions that are made on the spot: something may be found under the id of each."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection

from models.domain import ownership
from models.domain.facts import Cycle, Room
from models.domain.json_fields import EPOCH
from models.settings.settings import Settings
from models.tables import made_session


def enter(
    conn: Connection, some_rooms: Iterable[Room], manual: Iterable[Cycle], settings: Settings
) -> None:
    """Have a row for each session that may be made on the spot for these."""
    made = [
        (made_session.made(session_id, each.name, "room", settings), each.created_at)
        for each in some_rooms
        for session_id in _ids_of_room(each, settings)
    ]
    made += [
        (
            made_session.made(_id_of_join(each, settings), each.room_name, "client", settings),
            began_at,
        )
        for each in manual
        if each.room_name and (began_at := each.joined_at or each.client_left_at)
    ]
    made_session.enter(conn, made)


def ids(some_rooms: Iterable[Room], some_cycles: Iterable[Cycle], settings: Settings) -> set[str]:
    """The ids of the sessions that these may make on the spot."""
    found = {word for each in some_rooms for word in _ids_of_room(each, settings)}
    manual = (each for each in some_cycles if each.provisional and each.room_name)
    return found | {_id_of_join(each, settings) for each in manual}


def _ids_of_room(life: Room, settings: Settings) -> list[str]:
    """The ids under which a room may make a session on the spot."""
    made = ownership.made_id(life.name, life.created_at, settings.rules)
    return [life.named_session, made] if life.named_session and life.may_name(None) else [made]


def _id_of_join(manual: Cycle, settings: Settings) -> str:
    """The id under which a manual join may make a session: the one that it names, else by its
    date."""
    began_at = manual.joined_at or manual.client_left_at or EPOCH
    return manual.joined_session or ownership.made_id(
        manual.room_name or "", began_at, settings.rules
    )
