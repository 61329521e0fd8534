"""Text of anybody's made visible, for terminals and logs that people read on one."""

from __future__ import annotations

import unicodedata

UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode's categories of what has no shape of its own: controls; formats, which are the marks of
direction, what has no width, and tags; halves of characters; what nobody has assigned, or only
somebody for themselves; and separators of lines."""


def escaped(text: str) -> str:
    """The text with what is not seen written as JSON would write it."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escape(char) if unicodedata.category(char) in UNSEEN else char for char in text)


def _escape(char: str) -> str:
    """In JSON two halves stand for what is beyond U+FFFF."""
    halves = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{halves[at : at + 2].hex()}" for at in range(0, len(halves), 2))
