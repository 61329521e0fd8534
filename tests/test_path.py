"""The whole path in one process: webhooks in, drained, statuses out."""

from __future__ import annotations

from flask.testing import FlaskClient

from worker import jobs
from worker.backend import Backend


def test_readiness_is_told(client: FlaskClient, backend: Backend) -> None:
    assert client.get("/readyz").json == {
        "ready": True,
        "redis": "ok",
        "database": "ok",
        "migrations": "ok",
        "pending_age_seconds": 0.0,
    }
    assert jobs.drain_batch(backend) == 0
