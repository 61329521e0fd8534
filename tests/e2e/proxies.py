"""Real proxies with the samples of ops/proxies, on ports of their own, before a Rollcall."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults import free_port, until
from tests.processes import listens

SAMPLES = Path(__file__).parents[2] / "ops" / "proxies"
CERTIFICATE = (
    "openssl req -x509 -newkey rsa:2048 -nodes -keyout own.key -out own.crt -subj /CN=localhost"
    " -addext subjectAltName=DNS:localhost,IP:127.0.0.1"
)
NGINX = """
daemon off;
user root;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{ }}
http {{
    access_log off;
    include /etc/nginx/mime.types;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    {servers}
}}
"""
SITE = """
server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {directory}/own.crt;
    ssl_certificate_key {directory}/own.key;
    large_client_header_buffers 4 68k;
    location / {{ return 404; }}
    {locations}
}}
"""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a proxy is to listen, where Rollcall does, and a directory for the proxy."""

    port: int
    rollcall: int
    directory: Path

    def sample(self, name: str) -> str:
        """The sample as it stands, but for ports and names."""
        text = (SAMPLES / name).read_text("utf-8")
        changes = {
            "127.0.0.1:8000": f"127.0.0.1:{self.rollcall}",
            "listen 443 ssl": f"listen 127.0.0.1:{self.port} ssl",
            "bind :443": f"bind 127.0.0.1:{self.port}",
            "/etc/ssl/rollcall": f"{self.directory}/own",
            "/etc/haproxy/rollcall.pem": f"{self.directory}/own.pem",
        }
        for old, new in changes.items():
            text = text.replace(old, new)
        return text


def nginx(place: Place) -> list[str]:
    return _nginx(place, place.sample("nginx.conf"))


def nginx_under_a_path(place: Place) -> list[str]:
    locations = place.sample("nginx-under-a-path.conf")
    return _nginx(
        place, SITE.format(port=place.port, directory=place.directory, locations=locations)
    )


def haproxy(place: Place) -> list[str]:
    path = place.directory / "haproxy.cfg"
    path.write_text(place.sample("haproxy.cfg"), "utf-8")
    return ["haproxy", "-db", "-f", str(path)]


def caddy(place: Place) -> list[str]:
    keys = f"tls {place.directory}/own.crt {place.directory}/own.key"
    site = f"https://127.0.0.1:{place.port} {{\n\t{keys}\n"
    path = place.directory / "Caddyfile"
    options = "{\n\tadmin off\n\tauto_https disable_redirects\n}\n"
    sample = place.sample("Caddyfile").replace("rollcall.example {\n", site)
    path.write_text(options + sample, "utf-8")
    return ["caddy", "run", "--adapter", "caddyfile", "--config", str(path)]


def _nginx(place: Place, servers: str) -> list[str]:
    path = place.directory / "nginx.conf"
    path.write_text(NGINX.format(directory=place.directory, servers=servers), "utf-8")
    return ["nginx", "-p", str(place.directory), "-c", str(path)]


@contextmanager
def running(command: Callable[[Place], list[str]], rollcall: int, directory: Path) -> Iterator[int]:
    """The proxy before Rollcall's port; its own port. Skips where it is not installed."""
    place = Place(free_port(), rollcall, directory)
    name, *arguments = command(place)
    program = shutil.which(name, path="/usr/sbin:/usr/bin:/usr/local/bin")
    if program is None:
        pytest.skip(f"{name} is not installed: apt install {name}")
    subprocess.run(CERTIFICATE.split(), cwd=directory, check=True, capture_output=True)
    both = (directory / "own.crt").read_text() + (directory / "own.key").read_text()
    (directory / "own.pem").write_text(both)
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen([program, *arguments], stdout=log, stderr=log)
        try:
            until(lambda: process.poll() is not None or listens(place.port), seconds=30)
            assert process.poll() is None, (directory / "log").read_text()
            yield place.port
        finally:
            process.terminate()
            process.wait(20)
