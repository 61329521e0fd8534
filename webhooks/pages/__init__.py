"""The pages that people look at. Each is rendered once a process, in each language."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Response, current_app, make_response, render_template
from markupsafe import Markup, escape

from webhooks.door.context import backend

RENDERED = "rendered"
"""Where the application keeps what was rendered: by template and variant, whoever asks."""


def page(
    template: str,
    policy: str,
    *,
    variant: str = "",
    asked: Mapping[str, str] | None = None,
    **values: object,
) -> Response:
    """A page that no other site may frame or guess about, and that is asked for anew each time.

    `values` are the same each time that template and `variant` are; `asked` are words of the
    request's own, which stand in the page as text or in an attribute.
    """
    text = _rendered(template, variant, asked or {}, values)
    for name, value in (asked or {}).items():
        text = text.replace(_place(name), escape(value))
    made = make_response(text)
    made.headers["Content-Security-Policy"] = policy
    made.headers["Referrer-Policy"] = "no-referrer"
    made.headers["X-Content-Type-Options"] = "nosniff"
    made.headers["Cache-Control"] = "no-cache"
    return made


def _rendered(
    template: str, variant: str, asked: Mapping[str, str], values: Mapping[str, object]
) -> str:
    """The page with places for what is asked. What a request says is no part of the key."""
    rendered: dict[tuple[str, str], str] = current_app.extensions.setdefault(RENDERED, {})
    key = template, variant
    if key not in rendered:
        places = {name: Markup(_place(name)) for name in asked}  # noqa: S704  (ours)
        rendered[key] = render_template(
            template, root=backend().settings.path_prefix, **places, **values
        )
    return rendered[key]


def _place(name: str) -> str:
    """What no word of a request can contain: `address.plain` takes NUL out."""
    return f"\0{name}\0"
