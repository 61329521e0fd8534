"""The door's lock: says whether a LiveKit token, and the webhook it came with, are genuine.

Pure: bytes, keys and `now` in; claims or `Rejected` out. Rules: docs/architecture.md, "Receiving".
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final, Literal, get_args

import jwt
import orjson
from jwt.algorithms import HMACAlgorithm

# LiveKit's own SDKs allow the clocks of sender and receiver to differ by this much.
LEEWAY: Final = timedelta(seconds=60)

# PyJWT spends about 60 ns a character before it looks at the signature. `sendBeacon` cannot carry
# more than this, and proxies pass far less in a header.
MAX_TOKEN_CHARS: Final = 64 * 1024

Reason = Literal[
    "missing",
    "too_long",
    "malformed",
    "unknown_key",
    "algorithm",
    "signature",
    "no_expiry",
    "bad_time",
    "expired",
    "not_yet_valid",
    "bad_claim",
    "numeric_sub",
    "no_sha256",
    "bad_sha256",
    "other_body",
]
REASONS: Final[tuple[Reason, ...]] = get_args(Reason)

_SENTENCES: Final[Mapping[Reason, str]] = {
    "missing": "There is no token.",
    "too_long": "The token is longer than any that LiveKit makes.",
    "malformed": "The token is not a JWT: three base64url parts of JSON with nothing around them.",
    "unknown_key": "The token's issuer (iss) is no API key that is configured with a secret here.",
    "algorithm": "The token is not signed with HS256, the only algorithm that LiveKit uses.",
    "signature": "The token was not signed with this API key's secret.",
    "no_expiry": "The token has no expiry (exp), so it would be good for ever.",
    "bad_time": "One of the token's times (exp, nbf, iat) is not a number of seconds.",
    "expired": "The token has expired.",
    "not_yet_valid": "The token is from the future (nbf, iat): compare the clocks.",
    "bad_claim": "One of the token's claims (aud, sub, jti, video) is not as LiveKit makes it.",
    "numeric_sub": (
        "The token's identity (sub) is a number, which LiveKit itself refuses."
        ' Sign it with the identity as text: "5", not 5.'
    ),
    "no_sha256": "The token has no sha256 claim: it is a participant's, not a webhook's.",
    "bad_sha256": "The token's sha256 claim is not the standard base64 of 32 bytes.",
    "other_body": "The token was made for another body than this one.",
}

# 32 bytes leave two bits of the last character unused; with these endings they are zero, so that
# every hash has one spelling only.
_SHA256_BASE64: Final = re.compile(r"[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=")


class Rejected(Exception):
    """The token, or the webhook that it came with, is not to be believed.

    `reason` is a stable word, for metrics and problem+json; `str()` is its sentence for people.
    Neither repeats anything of the token.
    """

    def __init__(self, reason: Reason) -> None:
        super().__init__(_SENTENCES[reason])
        self.reason: Final[Reason] = reason


def claims(token: str | None, *, keys: Mapping[str, str], now: datetime) -> dict[str, Any]:
    """Return the claims of a genuine LiveKit token, whoever it was made for.

    `keys` maps API keys to secrets; all of them are live, which is what rotation needs. The token
    is the raw JWT, without "Bearer". `exp` is a number, and `sub` and `jti` are strings and `video`
    a dict where present; other claims have any JSON type. Raises nothing but `Rejected`.
    """
    found = _signed(_plain(token), keys=keys)
    _check_times(found, now)
    _check_shapes(found)
    return found


def webhook(
    body: bytes, token: str | None, *, keys: Mapping[str, str], now: datetime
) -> dict[str, Any]:
    """Return the claims of the token that LiveKit made for exactly these bytes.

    `body` is what came over the wire, never a copy that was parsed and written again. Raises
    nothing but `Rejected`.
    """
    found = webhook_claims(token, keys=keys, now=now)
    check_body(found, body)
    return found


def webhook_claims(token: str | None, *, keys: Mapping[str, str], now: datetime) -> dict[str, Any]:
    """Return the claims of a token that LiveKit made for some body: good for reading it.

    Nothing is read for anybody else. Raises nothing but `Rejected`.
    """
    found = claims(token, keys=keys, now=now)
    if "sha256" not in found:
        raise Rejected("no_sha256")
    claimed = found["sha256"]
    if not isinstance(claimed, str) or not _SHA256_BASE64.fullmatch(claimed):
        raise Rejected("bad_sha256")
    return found


def check_body(found: Mapping[str, Any], body: bytes) -> None:
    """Check that these `webhook_claims` are about exactly this body. Raises nothing but `Rejected`.

    `body` is what came over the wire, never a copy that was parsed and written again.
    """
    actual = base64.b64encode(hashlib.sha256(body).digest())
    if not hmac.compare_digest(found["sha256"].encode(), actual):
        raise Rejected("other_body")


def _plain(token: object) -> str:
    if token is None or token == "":
        raise Rejected("missing")
    # A token may come out of a JSON body (`access_token`), where anything can stand.
    if not isinstance(token, str) or not token.isascii():
        raise Rejected("malformed")
    if len(token) > MAX_TOKEN_CHARS:
        raise Rejected("too_long")
    return token


def _signed(token: str, *, keys: Mapping[str, str]) -> dict[str, Any]:
    secret = keys.get(_claimed_issuer(token))
    if not secret:
        raise Rejected("unknown_key")
    try:
        payload = _jws().decode(token, secret, algorithms=["HS256"])
    except jwt.InvalidAlgorithmError:
        raise Rejected("algorithm") from None
    except jwt.InvalidSignatureError:
        raise Rejected("signature") from None
    except jwt.InvalidKeyError:
        # PyJWT refuses secrets that are really certificates or public keys.
        raise Rejected("unknown_key") from None
    except jwt.PyJWTError:
        raise Rejected("malformed") from None
    # Parsed again from the bytes that the signature covers, so that no difference between two
    # base64 decoders can put other claims in their place.
    return _json_object(payload)


def claimed_issuer(token: str | None) -> str | None:
    """The `iss` of a token that was refused, for telling operators which API key it names."""
    try:
        return _claimed_issuer(_plain(token))
    except Rejected:
        return None


def _claimed_issuer(token: str) -> str:
    """Read `iss` from a token that nobody has verified: good for choosing a secret, no more."""
    parts = token.split(".")
    if len(parts) != 3:
        raise Rejected("malformed")
    try:
        payload = base64.urlsafe_b64decode(parts[1] + "==")
    except ValueError:
        raise Rejected("malformed") from None
    issuer = _json_object(payload).get("iss")
    if not isinstance(issuer, str):
        raise Rejected("unknown_key")
    return issuer


def _json_object(text: bytes) -> dict[str, Any]:
    # orjson, not json: NaN, infinities and lone surrogates, which no database takes, end here.
    try:
        found = orjson.loads(text)
    except ValueError:
        raise Rejected("malformed") from None
    if not isinstance(found, dict):
        raise Rejected("malformed")
    return found


@cache
def _jws() -> jwt.PyJWS:
    # Empty but for ours: even a bug in the check of `alg` could find no other algorithm.
    jws = jwt.PyJWS(algorithms=[])
    jws.register_algorithm("HS256", _HS256(HMACAlgorithm.SHA256))
    return jws


@cache
def _prepared(secret: str | bytes) -> bytes:
    """PyJWT looks whether a secret is a certificate or JSON: once, and not with each token."""
    return HMACAlgorithm(HMACAlgorithm.SHA256).prepare_key(secret)


class _HS256(HMACAlgorithm):
    def prepare_key(self, key: str | bytes) -> bytes:
        return _prepared(key)

    def check_key_length(self, key: bytes) -> None:
        """Accept any length: LiveKit does ("secret" is its own), and a warning helps no sender."""


def _check_times(found: Mapping[str, Any], now: datetime) -> None:
    now_s, leeway_s = now.timestamp(), LEEWAY.total_seconds()
    expires_s = _whole_seconds(found, "exp")
    if expires_s is None:
        raise Rejected("no_expiry")
    if expires_s <= now_s - leeway_s:
        raise Rejected("expired")
    for name in ("nbf", "iat"):
        begins_s = _whole_seconds(found, name)
        if begins_s is not None and begins_s > now_s + leeway_s:
            raise Rejected("not_yet_valid")


def _whole_seconds(found: Mapping[str, Any], name: str) -> int | None:
    if name not in found:
        return None
    value = found[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Rejected("bad_time")
    # Fractions are dropped because LiveKit's SDK drops them: both turn at the same second.
    return int(value)


def _check_shapes(found: Mapping[str, Any]) -> None:
    # LiveKit never sets an audience; a token that has one was made for somebody else (RFC 7519).
    if found.get("aud"):
        raise Rejected("bad_claim")
    sub = found.get("sub")
    if isinstance(sub, int | float) and not isinstance(sub, bool):
        raise Rejected("numeric_sub")
    for name, expected in (("sub", str), ("jti", str), ("video", dict)):
        if name in found and not isinstance(found[name], expected):
            raise Rejected("bad_claim")
