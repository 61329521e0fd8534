"""The whole path in one process: webhooks in, drained, statuses out."""

from __future__ import annotations

from flask.testing import FlaskClient

from tests.doors import drain
from worker.process.backend import Backend


def test_readiness_is_told(client: FlaskClient, backend: Backend) -> None:
    told = client.get("/readyz").json
    assert told is not None
    assert told["ready"] is True
    assert told["pending_age_seconds"] == 0.0
    assert told["checks"]["redis"]["well"] is True
    assert drain(backend) == 0
