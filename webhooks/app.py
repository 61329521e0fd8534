"""The Flask application: which doors there are. `create_app()` reads the environment."""

from __future__ import annotations

import sys

from flask import Flask
from flask_cors import CORS

from models import logs
from models.settings import BadSettings, Settings, load
from webhooks import problems
from webhooks.callers import Callers
from webhooks.context import CALLERS, DRAINER, EXTENSION, INTAKE, SLOT, UNHURRIED
from webhooks.docs import docs
from webhooks.events import events
from webhooks.health import health
from webhooks.intake import Intake
from webhooks.janitor import Janitor
from webhooks.join import join
from webhooks.metrics import metrics
from webhooks.pages import pages
from webhooks.receiver import receiver
from webhooks.responses import Response
from webhooks.roster import roster
from webhooks.sessions import sessions
from webhooks.slot import Slot
from webhooks.status import status
from webhooks.users import users
from worker.backend import REQUEST, Backend, Limits
from worker.drainer import Drainer


def create_app(settings: Settings | None = None, limits: Limits = REQUEST) -> Flask:
    """The application on its own backend. A bad environment ends the process with a sentence."""
    if settings is None:
        settings = _of_environment()
    app = Flask(__name__, static_folder=None)
    app.response_class = Response
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    backend = Backend.of(settings, limits)
    app.extensions[EXTENSION] = backend
    app.extensions[SLOT] = Slot(backend.engine)
    app.extensions[CALLERS] = Callers(backend.keys)
    app.extensions[UNHURRIED] = Backend.of(settings)
    app.extensions[DRAINER] = Drainer(settings)
    app.extensions[INTAKE] = Intake(settings.web_threads)
    problems.register(app)
    doors = (receiver, status, roster, join, sessions, events, users, health, metrics, docs, pages)
    for door in doors:
        app.register_blueprint(door)
    if settings.cors_origins:
        _allow_origins(app, settings)
    return app


def create_served_app() -> Flask:
    """What the web process serves: the application, and a janitor for its connections."""
    settings = _of_environment()
    Janitor(settings.port).start()
    return create_app(settings)


def _of_environment() -> Settings:
    try:
        settings = load()
    except BadSettings as error:
        sys.exit(str(error))
    logs.configure(settings, aside=True)
    return settings


def _allow_origins(app: Flask, settings: Settings) -> None:
    """Pages of these origins may poll; their token is a header, so no cookies are sent."""
    CORS(
        app,
        origins=list(settings.cors_origins),
        allow_headers=["Authorization", "Content-Type"],
        expose_headers=["X-Cache", "Retry-After", "Content-Disposition"],
        max_age=3600,
    )
