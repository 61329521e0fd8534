"""The JSON of health that operators get: findings, with what to do."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from webhooks.api.replies import Reply


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
