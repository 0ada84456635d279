"""The application factory of the web side."""

from flask import Flask

from server.store import Store
from server.web import errors, middleware
from server.web.current import EXTENSION
from server.web.routes.batches import batches
from server.web.routes.events import events
from server.web.routes.feeds import feeds
from server.web.routes.files import files
from server.web.routes.health import health
from server.web.routes.inputs import inputs
from server.web.routes.queues import queues
from server.web.routes.schedules import schedules
from server.web.routes.task_list import lists
from server.web.routes.tasks import api
from server.web.routes.webhooks import webhooks
from server.web.ui import ui
from server.web.ui.assets import assets
from server.web.ui.docs import pages

_BLUEPRINTS = (
    *(api, assets, batches, events, feeds, files, health, inputs, lists),
    *(pages, queues, schedules, ui, webhooks),
)


def create_app(store: Store) -> Flask:
    """Create the WSGI application over a store. Nothing connects before the first request."""
    app = Flask("server.web", static_folder=None, template_folder="ui/templates")
    app.extensions[EXTENSION] = store
    app.config["MAX_CONTENT_LENGTH"] = store.settings.max_upload_bytes
    app.url_map.strict_slashes = True
    middleware.install(app)
    errors.install(app)
    for blueprint in _BLUEPRINTS:
        app.register_blueprint(blueprint)
    return app
