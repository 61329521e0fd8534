"""What arrives at Rollcall: joins, leaves and looks, counted in front of the application."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event
from typing import Any

LONGEST_SECONDS = 30


class Arrivals:
    """A WSGI application that counts the element's requests and can hold back the answers."""

    def __init__(self, app: Callable[..., Any]) -> None:
        self._app = app
        self._held: dict[str, Event] = {}
        self.counts: Counter[str] = Counter()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        kind = str(environ["PATH_INFO"]).rsplit("/", 1)[-1]
        if environ["REQUEST_METHOD"] != "OPTIONS":
            self.counts[kind] += 1
            if kind in self._held:
                self._held[kind].wait(LONGEST_SECONDS)
        return self._app(environ, start_response)

    @property
    def joins(self) -> int:
        return self.counts["join"]

    @property
    def leaves(self) -> int:
        return self.counts["leave"]

    @property
    def looks(self) -> int:
        return self.counts["attendance-status"]

    @contextmanager
    def held(self, kind: str) -> Iterator[None]:
        """Requests of this kind ("join", "leave", "attendance-status") wait until the end."""
        released = self._held[kind] = Event()
        try:
            yield
        finally:
            del self._held[kind]
            released.set()
