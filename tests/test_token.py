"""`flask token`: what it signs opens what it says, for as long as it says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import jwt
import pytest
from click.testing import Result
from flask import Flask

from tests.build import KEY, SECRET
from tests.doors import on_sqlite
from webhooks.cli.commands import MOST_HOURS, token


def signed(app: Flask, *, hours: str) -> Result:
    with app.app_context():  # which `flask` pushes
        return app.test_cli_runner().invoke(token, ["--ops", "--hours", hours])


@on_sqlite
@pytest.mark.parametrize("hours", [6.0, 0.5, MOST_HOURS])
def test_a_token_lasts_for_its_hours(app: Flask, hours: float) -> None:
    result = signed(app, hours=str(hours))
    assert result.exit_code == 0, result.output
    claims = jwt.decode(result.output.strip(), SECRET, algorithms=["HS256"], issuer=KEY)
    left = datetime.fromtimestamp(claims["exp"], UTC) - datetime.now(UTC)
    assert abs(left - timedelta(hours=hours)) < timedelta(seconds=60)


@on_sqlite
@pytest.mark.parametrize("hours", ["0", "-1", "nan", "inf", "1e300", "soon"])
def test_hours_that_no_token_can_last_are_refused_with_a_sentence(app: Flask, hours: str) -> None:
    result = signed(app, hours=hours)
    assert result.exit_code == 2
    assert "Invalid value for '--hours'" in result.output
