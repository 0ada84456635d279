"""The HTTP face: the one place where Flask is imported.

guard.py      before and after each request: its id, its caller, other origins, its line in the log
bodies.py     three kinds of body, one meaning
api.py        submit, status, result, cancel, catalogue
options.py    how to run a task: delay, priority, tags…
    batches.py    many submits in one request
    lists.py      pages of tasks, and what is done to all that match
    files.py      a task's files: ranges, ETags
    inputs.py     what a task was given
schedules.py  tasks that come by themselves
feeds.py      what `fetch_feed` has stored
queues.py     what waits and runs, and who runs it
health.py     live, ready, metrics
answers.py    JSON, ETags, what a status answer carries
waiting.py    answers that are held back; waiters.py: who waits for which task; worker.py: where they are parked
lookout.py    polls that are answered without asking Redis
events.py     a task's life as server-sent events
webhooks.py   tries, secrets
problems.py   every error as `application/problem+json`
openapi/      the document; pages.py: it and the docs for a reader; forms.py: a form for each kind of task
assets.py     what pages are made of: scripts, styles; text that is sent compressed
ui/           pages to run tasks and to see what is going on; sessions.py: signing in
"""

from collections.abc import Callable
from typing import Any

from flask import Flask

from server.settings import settings
from server.web import guard, problems
from server.web.api import api
from server.web.assets import assets
from server.web.batches import batches
from server.web.events import events
from server.web.feeds import feeds
from server.web.files import files
from server.web.health import health
from server.web.inputs import inputs
from server.web.lists import lists
from server.web.pages import pages
from server.web.queues import queues
from server.web.schedules import schedules
from server.web.ui import ui
from server.web.webhooks import webhooks

_BLUEPRINTS = (
    *(api, assets, batches, events, feeds, files, health, inputs, lists),
    *(pages, queues, schedules, ui, webhooks),
)


class Application(Flask):
    """Flask, whose views and hooks are plain functions."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """The function: to find out at each call that it is no coroutine took 0.01 ms of each request."""
        return func


def create_app() -> Flask:
    """Make the WSGI application. Nothing is connected before the first request."""
    app = Application("server.web", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings().max_upload_bytes
    app.url_map.strict_slashes = True
    guard.install(app)
    problems.install(app)
    for blueprint in _BLUEPRINTS:
        app.register_blueprint(blueprint)
    return app
