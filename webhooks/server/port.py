"""Where a web process is to listen: whether it can, found out before it starts, and its URL."""

from __future__ import annotations

import errno
import ipaddress
import socket


class PortTaken(Exception):
    """It can't be listened there; the message says why, and what to do."""


def check(host: str, port: int) -> None:
    """Raises PortTaken."""
    with socket.socket(_family(host)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                why = f"HOST: {host} is no address of this machine."
            else:
                why = (
                    f"Port {port} can't be listened on: {error.strerror}. Set PORT to another one."
                )
            raise PortTaken(why) from None


def own_host(host: str) -> str:
    """The address at which somebody on this machine reaches who listens there."""
    if not ipaddress.ip_address(host).is_unspecified:
        return host
    return "::1" if ":" in host else "127.0.0.1"


def own_url(host: str, port: int) -> str:
    """The URL at which somebody on this machine reaches who listens there."""
    address = own_host(host)
    return f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
