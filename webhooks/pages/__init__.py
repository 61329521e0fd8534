"""The pages that people look at. Each is rendered once a process, in each language."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from flask import Response, current_app, make_response, render_template, request
from markupsafe import Markup, escape

RENDERED = "rendered"
"""Where the application keeps what was rendered: by template, variant and prefix, whoever asks."""

MOST = 200
"""What is kept; a site has some forty, under one prefix, which the server knows and no header."""

T = TypeVar("T")


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
    text = once(template, variant, lambda: _render(template, asked or {}, values))
    for name, value in (asked or {}).items():
        text = text.replace(_place(name), escape(value))
    made = make_response(text)
    made.headers["Content-Security-Policy"] = policy
    made.headers["Referrer-Policy"] = "no-referrer"
    made.headers["X-Content-Type-Options"] = "nosniff"
    made.headers["Cache-Control"] = "no-cache"
    return made


def once(name: str, variant: str, make: Callable[[], T]) -> T:
    """What `make` makes, made once for this name and variant under each prefix of the site."""
    rendered: dict[tuple[str, str, str], T] = current_app.extensions.setdefault(RENDERED, {})
    key = name, variant, request.script_root
    if key not in rendered:
        if len(rendered) >= MOST:
            rendered.clear()
        rendered[key] = make()
    return rendered[key]


def _render(template: str, asked: Iterable[str], values: Mapping[str, object]) -> str:
    """The page, with a place for each word that is asked."""
    places = {name: Markup(_place(name)) for name in asked}  # noqa: S704  (ours)
    return render_template(template, root=request.script_root, **places, **values)


def _place(name: str) -> str:
    """What no word of a request can contain: `address.plain` takes NUL out."""
    return f"\0{name}\0"
