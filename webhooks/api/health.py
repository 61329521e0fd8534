"""Is it alive, is it ready: for load balancers and for whoever was woken up."""

from __future__ import annotations

from typing import Literal

from flask import Blueprint
from pydantic import ConfigDict, Field

from webhooks.door import auth
from webhooks.door.context import backend, present
from webhooks.door.operation import json, operation
from webhooks.door.responses import Response
from webhooks.schemas.answers import answer
from webhooks.schemas.bodies import Query
from webhooks.schemas.replies import Alive, Ready, Reply
from worker.health.check import keeps_in
from worker.health.checks import checks
from worker.health.checks import findings as all_findings

health = Blueprint("health", __name__)


class Finding(Reply):
    """One thing that was looked at."""

    what: str
    well: bool
    seen: str
    todo: str = Field(description="What to do; empty when it is well.")
    finding: str = Field(description="A stable word for the sentence, such as `database.down`.")
    values: dict[str, str | int | float | None] = Field(description="What stands in the sentence.")
    seconds: float | None = Field(description="How long something waits, or clocks are apart.")


class Findings(Reply):
    """Everything that was looked at, in the doctor's order."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "keeps_in": "database",
                    "checks": [
                        {
                            "what": "workers",
                            "well": False,
                            "seen": "0 alive",
                            "todo": "start the Procfile's `worker`",
                            "finding": "workers.none",
                            "values": {"count": 0},
                            "seconds": None,
                        }
                    ],
                }
            ]
        }
    )

    keeps_in: Literal["database", "spool"] | None = Field(
        description="Where a webhook that comes now is kept."
    )
    checks: list[Finding]


@health.get("/healthz")
@operation(answers={200: json("It answers.", Alive)})
def healthz() -> Response:
    """The process answers; nothing else is asked."""
    return answer({"alive": True})


@health.get("/readyz")
@operation(answers={200: json("Ready.", Ready), 503: json("Not ready.", Ready)})
def readyz() -> Response:
    """200 while webhooks can be kept, in the database or in the spool; `keeps_in` says which."""
    seen = checks(backend(), now=present())
    kept_in = keeps_in(seen)
    age = next((check.seconds for check in seen if check.what == "pending"), None)
    shown = {check.what: {"well": check.well, "seen": check.seen} for check in seen}
    body = {
        "ready": kept_in is not None,
        "keeps_in": kept_in,
        "pending_age_seconds": age,
        "checks": shown,
    }
    return answer(body, status=200 if kept_in is not None else 503)


@health.get("/api/health")
@operation(tokens=("operator",), answers={200: json("What was found.", Findings)})
def findings() -> Response:
    """What `flask doctor` finds, but for LiveKit's API: what is well, and what to do where not.

    What can't be asked now, as while the database is away, is left out.
    """
    auth.operator()
    Query.of_request()
    seen = all_findings(backend(), now=present())
    found = [check.as_json() for check in seen]
    return answer({"keeps_in": keeps_in(seen), "checks": found})
