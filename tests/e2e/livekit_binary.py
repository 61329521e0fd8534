"""`python -m tests.e2e.livekit_binary`: livekit-server, built once into var/."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

VERSION = "v1.13.5"
"""The newest that builds without a fork of one of its modules."""

BUILT = Path(__file__).parents[2] / "var" / "livekit" / VERSION
BUILD_SECONDS = 900


def built() -> Path:
    """The server's binary: from the last time, or a minute or two of compiling."""
    binary = BUILT / "server"
    if not binary.exists():
        print(f"Building livekit-server {VERSION} into {BUILT}: a minute or two, once.", flush=True)
        module = f"github.com/livekit/livekit-server/cmd/server@{VERSION}"
        environment = os.environ | {"GOBIN": str(BUILT), "CGO_ENABLED": "0"}
        subprocess.run(
            ["go", "install", module], env=environment, check=True, timeout=BUILD_SECONDS
        )
    return binary


if __name__ == "__main__":
    built()
