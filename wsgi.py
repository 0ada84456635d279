"""Where web and worker begin: `gunicorn wsgi` serves `application`, `celery -A wsgi` runs `celery`.

Both are made when they are first asked for, so that a worker does not carry Flask. The WSGI application is not
called `app`, because `celery -A wsgi` would take it for its own.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from server.settings import SettingsError, load

# Celery puts the folder in its path only while it imports this module, which is before `celery` is asked for.
sys.path.insert(0, str(Path(__file__).parent))

if TYPE_CHECKING:
    from celery import Celery
    from flask import Flask

    application: Flask
    celery: Celery


def _make_celery() -> "Celery":
    import server.celery_app.worker
    from server import logs
    from server.celery_app import create_celery
    from server.store import Store

    settings = load()
    logs.configure(settings.log_level)  # Celery warns before it asks for its logging to be set up
    app = create_celery(Store(settings))
    server.celery_app.worker.install(app)
    return app


def _make_application() -> "Flask":
    from server.celery_app import create_celery
    from server.store import Store
    from server.web.app import create_app

    store = Store(load())
    create_celery(store)
    return create_app(store)


def __getattr__(name: str) -> Any:
    makers = {"application": _make_application, "celery": _make_celery}
    if name not in makers:
        raise AttributeError(name)
    try:
        globals()[name] = makers[name]()
    except SettingsError as error:
        print(f"coatcheck: {error}", file=sys.stderr)
        sys.exit(3)  # Gunicorn takes a 3 for a failed start and stops; after another code it would try again forever
    return globals()[name]
