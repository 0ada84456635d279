"""The application factory of the web side."""

from collections.abc import Callable
from typing import Any

from flask import Flask, Request
from werkzeug.routing import MapAdapter

from server.store import Store
from server.store.stats import CounterBuffer
from server.web import errors, middleware
from server.web.addresses import Located, Locator, host_of
from server.web.current import EXTENSION, LOCATOR, REQUEST_COUNTS, ROUTES
from server.web.routes import catalog, events, files, health, inputs, output, schedules, task_pages, tasks, webhooks
from server.web.routes.bulk import actions, batch, batches, task_list, task_query
from server.web.routes.operate import audit, failures, keys, metrics, pauses, queues
from server.web.ui import docs, ui
from server.web.ui.assets import assets

#: Every resource, in the order in which the documents show their routes.
_RESOURCES = (
    *(tasks, events, output, files, inputs, failures, task_list, actions, task_query, batches, batch, webhooks),
    *(schedules, catalog, queues, pauses, keys, audit, health, metrics, docs),
)


class _Application(Flask):
    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function: none is a coroutine, and to look for that took 3 % of a request's time."""
        return func

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """Return what finds the route of a request. Flask reads and checks the host three times, 5 % of a request."""
        if request is None or "HTTP_UPGRADE" in request.environ:
            return super().create_url_adapter(request)
        environ = request.environ
        request.host = host = host_of(environ)
        script_name, path, query = (
            environ.get(name, "").encode("latin-1").decode(errors="replace")
            for name in ("SCRIPT_NAME", "PATH_INFO", "QUERY_STRING")
        )
        scheme, method = environ["wsgi.url_scheme"], environ["REQUEST_METHOD"]
        return self.url_map.bind(host, script_name, "", scheme, method, path, query)


def create_app(store: Store) -> Flask:
    """Create the WSGI application over a store. Nothing connects before the first request."""
    app = _Application("server.web", static_folder=None, template_folder="ui/templates")
    app.extensions[EXTENSION] = store
    app.extensions[REQUEST_COUNTS] = CounterBuffer(lambda: store.counters, store.keys.http_requests)
    app.config["MAX_CONTENT_LENGTH"] = store.settings.max_upload_bytes
    app.url_map.strict_slashes = True
    middleware.install(app)
    errors.install(app)
    apis = [*(each.route for each in _RESOURCES), task_pages.api()]
    app.extensions[ROUTES] = [route for api in apis for route in api.routes]
    for blueprint in (*(api.blueprint for api in apis), ui, assets):
        app.register_blueprint(blueprint)
    locator = Locator(store.settings, {rule.rule.split("/")[1] for rule in app.url_map.iter_rules()})
    app.extensions[LOCATOR] = locator
    app.wsgi_app = Located(app.wsgi_app, locator)  # type: ignore[method-assign]
    return app
