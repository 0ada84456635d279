"""Serve our application below a prefix of another Flask application, whose own login decides the owner."""

import logging
from collections.abc import Callable

from flask import Blueprint, Flask, Response, request
from werkzeug.test import run_wsgi_app

from server.logs import event
from server.store import Store
from server.web.app import create_app
from server.web.long_poll import WAITING_SLOTS
from server.web.sessions import HOST_USER, HostUser

_METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "QUERY")

log = logging.getLogger(__name__)


def mount(
    host: Flask, store: Store, url_prefix: str, owner: Callable[[], object], is_admin: Callable[[], object]
) -> None:
    """Register a blueprint that answers every request below `url_prefix` with our application."""
    application = create_app(store)
    blueprint = Blueprint("coatcheck", __name__, url_prefix=url_prefix)

    def serve(path: str = "") -> Response:
        """Call our application. The host's own steps before and after a request apply to it, too."""
        environ = {**request.environ, HOST_USER: _user(owner, is_admin)}
        environ.pop(WAITING_SLOTS, None)  # the host cannot park a request: it is answered immediately
        environ["SCRIPT_NAME"] = environ.get("SCRIPT_NAME", "") + url_prefix
        environ["PATH_INFO"] = environ["PATH_INFO"].removeprefix(url_prefix)
        body, status, headers = run_wsgi_app(application, environ)
        return Response(body, status, headers, direct_passthrough=True)

    for rule in ("/", "/<path:path>"):
        blueprint.add_url_rule(rule, view_func=serve, methods=_METHODS, provide_automatic_options=False)
    host.register_blueprint(blueprint)


def _user(owner: Callable[[], object], is_admin: Callable[[], object]) -> HostUser | None:
    """Ask the host for the user of this request."""
    try:
        name = owner()
    except AttributeError as error:  # Flask-Login's anonymous user has no `id`
        event(log, "owner.unknown", reason=error)
        return None
    return None if name is None else HostUser(str(name), bool(is_admin()))
