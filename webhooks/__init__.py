"""The web: the receiver of webhooks, the API, the pages and the commands."""

import models  # noqa: F401  (it says what structlog is to load, so it comes before)
