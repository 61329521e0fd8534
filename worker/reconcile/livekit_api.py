"""LiveKit's own word on who is inside: one look at its API, for the reconciler.

Promise: what is not known is never taken for an empty room. What fails, comes late or is no
protobuf of LiveKit's raises `Unanswered`, or leaves the room in question unknown.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import aiohttp
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError
from livekit.api import ListParticipantsRequest, ListRoomsRequest, LiveKitAPI, ServerError

from models.settings.settings import Settings

ANSWER_SECONDS = 4.0
"""What LiveKit has for one answer. Its client passes `timeout=None` with each request, which turns
the session's own limit off, so each call is limited here."""

LOOK_SECONDS = 20.0
"""What all rooms together have; those that did not answer by then are unknown."""

AT_ONCE = 8
"""Rooms asked about at a time: LiveKit has calls to carry."""

FAILURES = (aiohttp.ClientError, TimeoutError, OSError, ServerError, DecodeError)

Protojson = dict[str, Any]
"""A room or a participant as LiveKit's webhooks put it: protojson."""


class Unanswered(Exception):
    """LiveKit's API did not say which rooms there are: {0}."""


@dataclass(frozen=True, slots=True)
class Look:
    """What the API showed, from `at` on (our clock), of the rooms of sids in (`after`, `until`].

    Without `until` these are all that follow. `people` has those inside, by room sid and
    participant sid; a room is `unknown` when it did not answer, or came or went while we looked.
    """

    at: datetime
    after: str
    until: str | None
    rooms: Mapping[str, Protojson]
    people: Mapping[str, Mapping[str, Protojson]]
    unknown: frozenset[str]

    def shows(self, room_sid: str, participant_sid: str) -> bool | None:
        """Whether this participant is inside; None when that is not known."""
        if self.is_unknown(room_sid):
            return None
        return participant_sid in self.people.get(room_sid, {})

    def is_unknown(self, room_sid: str) -> bool:
        """Whether this look says nothing of the room of this sid."""
        beyond = room_sid <= self.after or (self.until is not None and room_sid > self.until)
        return beyond or room_sid in self.unknown

    def identities(self, room_sid: str) -> set[str]:
        """Who is inside the room."""
        return {person.get("identity", "") for person in self.people.get(room_sid, {}).values()}

    def lists_a_ghost(self, room_sid: str) -> bool:
        """Whether people are listed in a room of which LiveKit says that nobody is inside: after a
        restart, one that keeps its state in Redis lists who was there before."""
        is_empty = not int(self.rooms.get(room_sid, {}).get("numParticipants", 0))
        return is_empty and bool(self.people.get(room_sid))


def look(settings: Settings, *, after: str, until: str | None, most: int) -> Look:
    """Ask LiveKit about at most so many of the rooms whose sids are in (`after`, `until`].

    Raises Unanswered when it does not even say which rooms there are.
    """
    return asyncio.run(_look(settings, after=after, until=until, most=most))


async def _look(settings: Settings, *, after: str, until: str | None, most: int) -> Look:
    at = datetime.now(UTC)
    key, secret = settings.livekit_api_key, settings.livekit_api_secret
    async with aiohttp.ClientSession(raise_for_status=_only_protobuf) as http:
        api = LiveKitAPI(settings.livekit_url, key, secret, session=http)
        before = await _rooms(api)
        wanted = sorted(sid for sid in before if sid > after and (until is None or sid <= until))
        if len(wanted) > most:
            wanted, until = wanted[:most], wanted[most - 1]
        people = await _people(api, {sid: before[sid]["name"] for sid in wanted})
        # Participants are listed by the room's name: only a room that lived all the while is
        # surely the one that they are in.
        after_it = await _rooms(api)
    steady = before.keys() & after_it.keys()
    return Look(
        at=at,
        after=after,
        until=until,
        rooms=before,
        people={sid: people[sid] for sid in people.keys() & steady},
        unknown=frozenset((before.keys() | after_it.keys()) - (people.keys() & steady)),
    )


async def _rooms(api: LiveKitAPI) -> dict[str, Protojson]:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            answer = await api.room.list_rooms(ListRoomsRequest())
    except FAILURES as error:
        raise Unanswered(f"{type(error).__name__}: {error}") from error
    return {room.sid: MessageToDict(room) for room in answer.rooms if room.sid and room.name}


async def _people(api: LiveKitAPI, names: Mapping[str, str]) -> dict[str, dict[str, Protojson]]:
    """Those inside, of each room that answered in time, by sid."""
    at_once = asyncio.Semaphore(AT_ONCE)
    asked = {sid: asyncio.create_task(_inside(api, name, at_once)) for sid, name in names.items()}
    if not asked:
        return {}
    _, late = await asyncio.wait(asked.values(), timeout=LOOK_SECONDS)
    for task in late:
        task.cancel()
    await asyncio.gather(*late, return_exceptions=True)
    answers = {sid: task.result() for sid, task in asked.items() if task not in late}
    return {sid: people for sid, people in answers.items() if people is not None}


async def _inside(
    api: LiveKitAPI, room_name: str, at_once: asyncio.Semaphore
) -> dict[str, Protojson] | None:
    async with at_once:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                asked = ListParticipantsRequest(room=room_name)
                answer = await api.room.list_participants(asked)
        except FAILURES:
            return None
    people = map(MessageToDict, answer.participants)
    return {person["sid"]: person for person in people if person.get("sid") and _is_there(person)}


def _is_there(person: Protojson) -> bool:
    return person.get("state") != "DISCONNECTED"


async def _only_protobuf(response: aiohttp.ClientResponse) -> None:
    """An empty body is a protobuf of no rooms, so a page of some proxy's must not pass for one."""
    if response.status == 200 and response.content_type != "application/protobuf":
        raise aiohttp.ContentTypeError(
            response.request_info, response.history, message="LiveKit answers in protobuf"
        )
