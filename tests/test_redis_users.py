"""A Redis that is shared or guarded: a user with the least rights, TLS with a private authority."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from sqlalchemy import make_url

from models.settings.settings import Settings
from tests.doors import ago, on_sqlite, serving
from tests.faults import Valkey, free_port, until
from tests.processes import environment, listens, running
from tests.test_not_taken import named
from tests.test_sentinel import alive
from worker.operations import copies

pytestmark = on_sqlite

PAGE = Path(__file__).parents[1] / "docs" / "operating.md"


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[Valkey]:
    made = Valkey(tmp_path / "own-valkey", durable=True)
    yield made
    made.stop()


def documented() -> list[str]:
    """The rights of the user that docs/operating.md has people make."""
    found = re.search(r"^ACL SETUSER rollcall (.*)$", PAGE.read_text("utf-8"), re.MULTILINE)
    assert found is not None
    return found[1].split()


def test_the_documented_user_may_do_all_that_is_done(
    settings: Settings, own_valkey: Valkey, tmp_path: Path
) -> None:
    with Redis.from_url(own_valkey.url) as admin:
        admin.execute_command("ACL", "SETUSER", "rollcall", *documented())
        url = make_url(own_valkey.url).set(username="rollcall", password="secret")
        here = {"redis_url": url.render_as_string(hide_password=False)}
        settings = settings.model_copy(update=here)
        env = environment(settings, tmp_path, LOG_LEVEL="error")
        with ExitStack() as stack:
            for module in ("worker", "worker.schedule"):
                stack.enter_context(running(module, env))
            rollcall = stack.enter_context(serving(settings))
            until(lambda: alive(rollcall.backend.redis) == (1, 1))
            assert rollcall.send(*(named(number, at=ago()) for number in range(3))) == [204] * 3
            until(lambda: {row["status"] for row in rollcall.ledger()} == {"applied"})
            assert rollcall.seen("quran-98")["is_currently_in_meeting"] is True
            checks: Any = rollcall.client.get("/readyz").json
            assert checks["checks"]["redis"]["well"]
            assert checks["checks"]["eviction"]["seen"] == "maxmemory-policy is noeviction"
            assert copies.remove(rollcall.backend) == []
        assert denied(admin) == []


def denied(admin: Redis) -> list[str]:
    return [f"{entry['reason']} {entry['object']}" for entry in admin.acl_log()]


@pytest.fixture
def tls_redis(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """Debian's Redis, over TLS alone, with a certificate of an authority that nobody knows."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("A Redis with TLS is not installed: apt install redis-server")
    make_certificate(tmp_path)
    port = free_port()
    files = {"cert": "own.crt", "key": "own.key", "ca-cert": "ca.crt"}
    options = [word for name in files for word in (f"--tls-{name}-file", tmp_path / files[name])]
    process = subprocess.Popen(
        [program, "--port", "0", "--tls-port", str(port), "--tls-auth-clients", "no", *options],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
    )
    until(lambda: listens(port))
    yield port, tmp_path / "ca.crt"
    process.terminate()
    process.wait(20)


CERTIFICATES = """
openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -subj /CN=own-ca
openssl req -newkey rsa:2048 -nodes -keyout own.key -out own.csr -subj /CN=x -addext {addresses}
openssl x509 -req -in own.csr -out own.crt -CA ca.crt -CAkey ca.key -copy_extensions copyall
"""


def make_certificate(directory: Path) -> None:
    commands = CERTIFICATES.format(addresses="subjectAltName=IP:127.0.0.1")
    for command in commands.strip().splitlines():
        subprocess.run(command.split(), cwd=directory, check=True, capture_output=True)


def test_tls_with_a_private_authority(settings: Settings, tls_redis: tuple[int, Path]) -> None:
    port, authority = tls_redis
    for options, well in ((f"?ssl_ca_certs={authority}", True), ("", False)):
        url = f"rediss://127.0.0.1:{port}/0{options}"
        with serving(settings.model_copy(update={"redis_url": url})) as rollcall:
            checks: Any = rollcall.client.get("/readyz").json
            assert checks["checks"]["redis"]["well"] is well
            assert ("certificate verify failed" in checks["checks"]["redis"]["seen"]) is not well
