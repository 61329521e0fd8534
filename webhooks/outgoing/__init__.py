"""Webhooks of our own: receivers learn when a session is final, and when that changes.

RQ runs these jobs in a worker of their own, which knows them by name alone (`own_job`): a receiver
may be slow, and no drain waits for it. They stand here because their bodies are the API's JSON.
"""

from webhooks.outgoing.finding import find_final
from webhooks.outgoing.sending import send_due

__all__ = ["find_final", "send_due"]
