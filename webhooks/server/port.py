"""The port that a web process is to listen on: whether it can, found out before it starts."""

from __future__ import annotations

import socket


class PortTaken(Exception):
    """The port can't be listened on; the message says why, and what to do."""


def check(port: int) -> None:
    """Raises PortTaken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError as error:
            why = f"Port {port} can't be listened on: {error.strerror}. Set PORT to another one."
            raise PortTaken(why) from None
