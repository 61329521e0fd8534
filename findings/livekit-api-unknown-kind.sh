#!/usr/bin/env bash
# A newer LiveKit server names a kind of participant that the installed SDK does not know. The SDK's
# own receiver of webhooks raises nothing and leaves the word out, and what is left out reads as the
# first of the kinds: STANDARD, a person.
#
# Why it matters: a bridge or another program that joins a room counts as somebody who attends, from
# the day on which the server is upgraded, and no log says so.
#
# What Rollcall does: it keeps the word as it came (models/domain/event.py), and only kinds that are
# listed count as people (models/settings/settings.py).

set -u

cannot() {
  echo "This cannot be tried here: $1." >&2
  exit 2
}

folder=$(mktemp -d) || cannot "no temporary folder can be made"
trap 'rm -rf "$folder"' EXIT
trap 'exit 2' HUP INT TERM
cd "$folder" || cannot "the temporary folder cannot be entered"
"${PYTHON:-python3}" -m venv venv || cannot "Python 3.11 or newer with venv is needed"
timeout --foreground 200 venv/bin/pip install --quiet --disable-pip-version-check \
  livekit-api==1.0.5 livekit-protocol==1.0.4 protobuf==6.33.0 || cannot "pip does not install the packages"

timeout --foreground --kill-after=10 60 venv/bin/python -W ignore - <<'PYTHON'
import base64, hashlib, json, signal, sys
from importlib import metadata

from livekit import api

signal.signal(signal.SIGTERM, lambda *_: sys.exit(4))

def tell(versions, expected, seen, holds):
    print(f"versions: {versions}\nexpected: {expected}\nseen:     {seen}")
    print("as stated" if holds else "CHANGED")
    sys.exit(0 if holds else 3)


KEY, SECRET = "key", "a-secret-of-at-least-32-characters"
# As a newer server sends it for a participant whose token has this kind.
body = json.dumps(
    {
        "event": "participant_joined",
        "room": {"sid": "RM_1", "name": "a-class"},
        "participant": {
            "sid": "PA_1",
            "identity": "a-bridge",
            "state": "ACTIVE",
            "kind": "BRIDGE",
        },
        "id": "EV_1",
        "createdAt": "1760000000",
    }
)
digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
token = api.AccessToken(KEY, SECRET).with_sha256(digest).to_jwt()
event = api.WebhookReceiver(api.TokenVerifier(KEY, SECRET)).receive(body, token)
kind = api.ParticipantInfo.Kind.Name(event.participant.kind)
print(f"kinds that it knows: {', '.join(api.ParticipantInfo.Kind.keys())}")

tell(
    f"livekit-api {metadata.version('livekit-api')}, "
    f"livekit-protocol {metadata.version('livekit-protocol')}",
    "an error, or BRIDGE in some form",
    kind,
    event.participant.identity == "a-bridge" and kind == "STANDARD",
)
PYTHON
status=$?
case $status in
  0) exit 0 ;;
  3) exit 1 ;;
  *) cannot "the trial ended with status $status" ;;
esac
