"""LiveKit's webhook as the documentation shows it: `models.domain.event` is what reads it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from webhooks.schemas.bodies import example


class Webhook(BaseModel):
    """What Rollcall reads of a LiveKit webhook; what is unknown does not matter."""

    model_config = example(
        event="participant_joined",
        id="EV_VXCrAUxhMGkc",
        createdAt="1795443042",
        room={"sid": "RM_mSMC8pyzLLmM", "name": "quran-98", "creationTimeMs": "1795443010733"},
        participant={
            "sid": "PA_gLSkHqJzVTmz",
            "identity": "5",
            "name": "أحمد",
            "joinedAtMs": "1795443042118",
        },
    )

    event: str = Field(description="Kinds that are not used are acknowledged.")
    id: str = Field(description="The same on every retry: an event counts once.")
    created_at: str | int = Field(alias="createdAt", description="Seconds since 1970.")
    room: dict[str, Any] | None = None
    participant: dict[str, Any] | None = None
