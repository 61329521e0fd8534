"""What `make run` says to do next: LiveKit's configuration, the console, tokens."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import jwt

from models.settings.settings import Settings
from webhooks.server import port

TOKEN_LIFE = timedelta(hours=6)

SENTENCES = """
1. Tell LiveKit where to send webhooks, in its livekit.yaml:
     webhook:
       api_key: {key}
       urls: ["http://THIS-HOST:{port}/webhooks/livekit"]
2. See them arrive in the console:
     {console}
3. See a class, or your own attendance. It asks for a token; this prints one:
     {url}/
     .venv/bin/flask token --room ROOM --user teacher --admin
"""


def sentences(settings: Settings, *, on_terminal: bool) -> str:
    """A terminal gets the console's link with a token; a log, which is kept, does not."""
    url = port.own_url(settings.host, settings.port)
    console = f"{url}/ops"
    if on_terminal:
        console += f"#token={_operator(settings)}"
    else:
        console += "   (its token: .venv/bin/flask token --ops)"
    return SENTENCES.format(
        key=settings.livekit_api_key, port=settings.port, url=url, console=console
    )


def _operator(settings: Settings) -> str:
    """Made here, and not by LiveKit's library: all that `make run` forks would have its memory."""
    now = datetime.now(UTC)
    claims = {
        "iss": settings.livekit_api_key,
        "nbf": now,
        "exp": now + TOKEN_LIFE,
        "video": {"roomList": True, "roomCreate": True},
    }
    return jwt.encode(claims, settings.livekit_api_secret, algorithm="HS256")
