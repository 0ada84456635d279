"""The entry points of the processes: `application` for Gunicorn, `celery` for a worker.

Both are created on first use, so that a worker does not import Flask. The WSGI application is not called `app`, because
`celery -A` would use it as its own.
"""

import gc
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from server.settings import Settings, SettingsError, load

# Modules of TASK_MODULES may be in the current folder. Celery has it in its path only while it imports this module.
if str(Path.cwd()) not in sys.path:
    sys.path.insert(0, str(Path.cwd()))

if TYPE_CHECKING:
    from celery import Celery
    from flask import Flask

    application: Flask
    celery: Celery


def _make_celery() -> "Celery":
    import server.celery_app.worker
    from server import logs
    from server.celery_app import create_celery
    from server.cli import embedded
    from server.store import Store

    settings = load()
    _start_telemetry(settings, worker=True)
    logs.configure(settings.log_level, settings.log_format)  # Celery warns before it asks for its logging to be set up
    app = create_celery(Store(settings))
    server.celery_app.worker.install(app)
    embedded.use(app.store)
    return app


def _make_application() -> "Flask":
    from server.celery_app import create_celery
    from server.cli import embedded
    from server.store import Store
    from server.web.app import create_app

    settings = load()
    _start_telemetry(settings, worker=False)
    store = Store(settings)
    create_celery(store)
    embedded.use(store)
    return create_app(store)


def _start_telemetry(settings: Settings, *, worker: bool) -> None:
    from server.logs import sentry, spans
    from server.logs.telemetry import TelemetrySettings

    telemetry = settings.part(TelemetrySettings)
    spans.start(telemetry.exporter, telemetry.otel_service_name)
    if telemetry.sentry_dsn:
        sentry.start(telemetry.sentry_dsn, worker=worker)


def __getattr__(name: str) -> Any:
    makers = {"application": _make_application, "celery": _make_celery}
    if name not in makers:
        raise AttributeError(name)
    collecting = gc.isenabled()
    gc.disable()  # almost nothing that an import makes is garbage, and each search for it takes longer
    try:
        globals()[name] = makers[name]()
    except SettingsError as error:
        print(f"coatcheck: {error}", file=sys.stderr)
        sys.exit(3)  # Gunicorn stops after exit code 3, a failed start; after another code it would try again forever
    finally:
        gc.freeze()  # a collection writes to each object that it looks at, and children would no longer share its page
        if collecting:
            gc.enable()
    return globals()[name]
