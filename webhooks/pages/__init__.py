"""The pages that people look at."""

from __future__ import annotations

from flask import Response, make_response, render_template, request


def page(template: str, policy: str, **values: object) -> Response:
    """A page that no other site may frame or guess about, and that is asked for anew each time."""
    made = make_response(render_template(template, root=request.script_root, **values))
    made.headers["Content-Security-Policy"] = policy
    made.headers["Referrer-Policy"] = "no-referrer"
    made.headers["X-Content-Type-Options"] = "nosniff"
    made.headers["Cache-Control"] = "no-cache"
    return made
