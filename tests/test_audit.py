"""`make audit` lists what is known of what is locked, and takes no silence for nothing."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from tests.faults import free_port

ROOT = Path(__file__).parents[1]
ADVISORY = {
    "id": "GHSA-0000-0000-0000",
    "modified": "2026-11-01T00:00:00Z",
    "published": "2026-11-01T00:00:00Z",
    "summary": "Anybody may do anything",
    "affected": [
        {
            "package": {"ecosystem": "PyPI", "name": "pyjwt"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}],
        }
    ],
}


def audit(service: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"UV_HTTP_RETRIES": "0"}
    command = ["make", "--no-print-directory", "audit", f"AUDIT={service}"]
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


@contextmanager
def osv(vulnerable: str) -> Iterator[str]:
    """A service that speaks as osv.dev does, and knows of one vulnerable package."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            known = [each["package"]["name"] == vulnerable for each in asked["queries"]]
            named = {"vulns": [{key: ADVISORY[key] for key in ("id", "modified")}]}
            self._answer({"results": [named if each else {} for each in known]})

        def do_GET(self) -> None:
            self._answer(ADVISORY)

        def _answer(self, told: Any) -> None:
            body = json.dumps(told).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_what_is_known_is_listed_and_fails() -> None:
    with osv("pyjwt") as service:
        ended = audit(service)
    assert ended.returncode != 0
    assert "pyjwt" in ended.stdout + ended.stderr
    assert "Anybody may do anything" in ended.stdout + ended.stderr
    assert "could not be asked" not in ended.stderr


def test_where_nothing_is_known_it_passes() -> None:
    with osv("no-package-of-ours") as service:
        ended = audit(service)
    assert ended.returncode == 0, ended.stderr


def test_an_audit_that_reaches_nobody_says_so_and_fails() -> None:
    ended = audit(f"http://127.0.0.1:{free_port()}/")
    assert ended.returncode != 0
    assert "could not be asked: this run says nothing about them" in ended.stderr
