"""What a roster must say of each recording: what its clients saw, and where that cannot be known.

The times allow for what LiveKit's own times are: a joined is stamped when signalling begins, which
is before its client calls itself connected; a left is cut to the second.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from tests.build import ClientSaw, truth

JOINED_WITHIN = timedelta(seconds=0.6)
LEFT_WITHIN = timedelta(seconds=1.6)
KILLED_WITHIN = timedelta(seconds=22)
"""LiveKit misses a client that was killed after some 20 s."""

WHOLE_SECONDS = {"servers/1.5.3", "servers/1.7.2"}
"""Their servers tell `joinedAt` alone, cut to the second: no `joinedAtMs`."""

HIDDEN = {"hidden-observer", "EG_recorder", "hid-stays"}
NOT_PEOPLE = {"agent-1", "egress-1", "ingress-1", "bridge-1"} | HIDDEN

TAKEN_FOR_PEOPLE = {
    "servers/1.5.3": {"agent-1", "egress-1", "ingress-1", "bridge-1"},
    "servers/1.7.2": {"bridge-1"},
}
"""1.5.3 sends no kinds at all, and 1.7.2 drops those that are newer than it: everybody is STANDARD.
Nothing in the webhook tells them from people."""

CAME_BACK_AS = {"PA_3CNSommrVVbW": "PA_z2JTsADVAWcY"}
"""A client that was cut off for 40 s came back with a new sid, and goes on naming its old one."""


@dataclass(frozen=True)
class Span:
    """An instant lies in it."""

    earliest: datetime
    latest: datetime

    def __contains__(self, instant: datetime) -> bool:
        return self.earliest <= instant <= self.latest


@dataclass(frozen=True)
class Told:
    """How a visit must be told. Without `ended_by` nothing that was sent ends it."""

    user_id: str
    room_name: str
    participant_sid: str
    joined: Span
    left: Span
    ended_by: str | None = "left"

    @property
    def estimated(self) -> bool:
        return self.ended_by not in (None, "left")


NO_LEFT: dict[str, tuple[str | None, float]] = {
    # A forced shutdown loses lefts, and nothing comes after it: 1.13.5, 1.7.2, 1.9.11.
    "PA_9y2XSPmLQuBw": (None, 0),
    "PA_FwFKsUhCosVn": (None, 0),
    "PA_d5aFfCBRbJBR": (None, 0),
    "PA_EbDoJ6AWLTuf": (None, 0),
    "PA_Y9mAQ4necCeL": (None, 0),
    # lefts_filtered_out: neither the left nor room_finished was let through.
    "PA_zSPFFUi4piYb": (None, 0),
    # redis_crash_ghost: nobody ever came back to that room, so nothing tells of the restart.
    "PA_UAfVPZd5mXkb": (None, 0),
    # node_killed: back on the other node after 3.4 s, which is all that is told of the old visit.
    "PA_P8u3Jq4giZXF": ("rejoined", 4),
    "PA_mTueZNBcLzA7": ("rejoined", 4),
    "PA_txshyQMbKktq": ("rejoined", 4),
    # redis_crash_one_rejoins: the server was away for 6.4 s.
    "PA_gVWrpWiDAki5": ("rejoined", 7),
    "PA_B3zzuoH8dCyT": ("room_restarted", 7),
    # restart_with_people_inside: killed 3.8 s before the server was back.
    "PA_D9jpr5bLxGBN": ("room_restarted", 4),
}
"""By sid: visits whose left LiveKit never sent; what ends them instead, if anything, and how many
seconds after the client knew of it at most."""


def told(name: str) -> dict[str, Told]:
    """The visits of people in a recording, by participant sid."""
    people = (one for one in truth(name) if _counts(name, one))
    return {each.participant_sid: each for one in people for each in _told(name, one)}


def _counts(name: str, one: ClientSaw) -> bool:
    mistaken = TAKEN_FOR_PEOPLE.get(name, set())
    person = one.user_id not in NOT_PEOPLE or one.user_id in mistaken
    return person and one.participant_sid is not None


def _told(name: str, one: ClientSaw) -> Iterator[Told]:
    """One visit; of a client that reconnected, the first and the last."""
    first = one.first_sid or ""
    last = CAME_BACK_AS.get(first, one.participant_sid or "")
    assert one.connected_at
    assert one.disconnected_at
    early = JOINED_WITHIN + timedelta(seconds=name in WHOLE_SECONDS)
    joined = Span(one.connected_at - early, one.connected_at)
    within = KILLED_WITHIN if one.how == "process killed" else LEFT_WITHIN
    ended_by: str | None = "left"
    if last in NO_LEFT:
        ended_by, seconds = NO_LEFT[last]
        within = timedelta(seconds=seconds)
    left = Span(one.disconnected_at - LEFT_WITHIN, one.disconnected_at + within)
    whole = Told(one.user_id, one.room_name, last, joined, left, ended_by)
    if first == last:
        yield whole
        return
    inside = Span(one.connected_at - LEFT_WITHIN, one.disconnected_at)
    by = "rejoined" if name == "cluster/restart_with_people_inside" else "left"
    yield replace(whole, participant_sid=first, left=inside, ended_by=by)
    yield replace(whole, joined=inside)
