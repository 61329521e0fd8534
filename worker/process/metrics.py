"""What is counted and timed, in web processes and workers alike.

What the tables know better (what waits, what failed, who is inside) is asked of them at each
scrape: see webhooks/api/metrics.py. Labels come from closed sets, never from what somebody sent.
"""

from __future__ import annotations

from prometheus_client import Counter, Histogram

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60, 600)
EVENTS = (1, 2, 5, 10, 20, 50, 100, 200, 500)

webhook_seconds = Histogram(
    "rollcall_webhook_seconds",
    "From a webhook's arrival to its answer, by LiveKit's event and what became of it.",
    ["event", "outcome"],
    buckets=SECONDS,
)
webhook_rejects = Counter(
    "rollcall_webhook_rejects",
    "Webhooks not believed, too large, or sent to a wrong path, by reason.",
    ["reason"],
)
server_errors = Counter(
    "rollcall_server_errors",
    "Answers 5xx, by the route's name and the problem's reason.",
    ["route", "reason"],
)
status_seconds = Histogram(
    "rollcall_status_seconds",
    "What a status took, by what the cache did.",
    ["cache"],
    buckets=SECONDS,
)
reads = Counter(
    "rollcall_reads", "Rosters and exports, by the server that they were read from.", ["server"]
)
cache_errors = Counter("rollcall_cache_errors", "Times that the cache could not be cleared.")
drain_events = Histogram("rollcall_drain_events", "Events that a drain took.", buckets=EVENTS)
drain_seconds = Histogram("rollcall_drain_seconds", "What a drain with mail took.", buckets=SECONDS)
applied_seconds = Histogram(
    "rollcall_applied_seconds", "From an event's arrival to its commit.", buckets=SECONDS
)
failed_events = Counter("rollcall_failed_events", "Events that could not be applied.")
sweeps_rang = Counter("rollcall_sweeps_rang", "Sweeps that found mail nobody had rung for.")
delivery_attempts = Counter(
    "rollcall_delivery_attempts",
    "Webhooks of our own that were posted, by what the receiver did.",
    ["outcome"],
)
