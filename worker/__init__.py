"""RQ workers and all that runs beside requests: drains, the cache, reconciliation."""

import models  # noqa: F401  (it says what structlog is to load, so it comes before)
