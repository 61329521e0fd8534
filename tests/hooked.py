"""A receiver of our webhooks, on this machine: it verifies each, keeps it, and answers as told."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import BaseRequestHandler, ThreadingTCPServer
from threading import Event as Flag
from threading import Thread
from typing import Any

from standardwebhooks import Webhook

SIGNING_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@dataclass(frozen=True)
class Received:
    """One webhook that was verified, as it came."""

    path: str
    delivery_id: str
    body: bytes

    @property
    def data(self) -> dict[str, Any]:
        data: dict[str, Any] = json.loads(self.body)["data"]
        return data


@dataclass
class Receiver:
    """Answers each request by the first of `answers` that is left, else 204. `before` is called
    before an answer; while `going` is not set, none is given."""

    port: int = 0
    secret: str = SIGNING_SECRET
    received: list[Received] = field(default_factory=list)
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    before: Callable[[], object] = lambda: None
    going: Flag = field(default_factory=Flag)

    def url(self, path: str = "/hook") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def take(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str]]:
        """Raises WebhookVerificationError for what we did not sign."""
        Webhook(self.secret).verify(body, headers)
        kept = {name.lower(): value for name, value in headers.items()}
        self.received.append(Received(path, kept["webhook-id"], body))
        self.before()
        assert self.going.wait(20)
        return self.answers.pop(0) if self.answers else (204, {})


@contextmanager
def receiving(port: int = 0) -> Iterator[Receiver]:
    """A receiver that listens until the context ends, on this port or a free one."""
    receiver = Receiver()
    receiver.going.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, headers = receiver.take(self.path, dict(self.headers), body)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        server.daemon_threads = True
        receiver.port = server.server_port
        Thread(target=server.serve_forever, daemon=True).start()
        yield receiver
        receiver.going.set()
        server.shutdown()


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """The address of a receiver that says exactly this, whatever it hears, and hangs up."""

    class Handler(BaseRequestHandler):
        def handle(self) -> None:
            heard = b""
            while b"\r\n\r\n" not in heard:
                heard += self.request.recv(65536)
            with suppress(OSError):  # whom it talks to may have had enough
                self.request.sendall(answer)

    with ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/hook"
        server.shutdown()
