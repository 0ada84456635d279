"""The Celery application: Celery's own settings come from `config.py`, everything else from the store."""

from typing import Any

from celery import Celery, Task
from celery.signals import setup_logging, worker_process_shutdown
from kombu.utils.json import register_type

from server import logs, tasks
from server.celery_app import config, external_broker, publish_signals
from server.celery_app.exposed import sending
from server.celery_app.exposed.expose import log_notices
from server.celery_app.message import WIRE_NAMES
from server.celery_app.worker.execution import execute
from server.logs import spans
from server.sdk.definition import TaskDefinition
from server.sdk.errors import TaskError
from server.sdk.registry import catalog, definition, is_registered
from server.store import Store


class CeleryApp(Celery):  # type: ignore[misc]
    """Celery's application with the store that its transport, its result backend and its tasks use."""

    def __init__(self, store: Store, *, current: bool) -> None:
        super().__init__("coatcheck", set_as_current=current, loader="server.celery_app.worker.burst:Loader")
        self.store = store

    def send_task(self, *args: Any, **options: Any) -> Any:
        """Send a task as Celery does; an exposed one becomes a record."""
        return sending.send(self, self.store, super().send_task, *args, **options)


def create_celery(store: Store, *, current: bool = True) -> CeleryApp:
    """Create the application over a store, with a Celery task for each task type.

    `current`: whether it becomes Celery's current application, to which `shared_task` binds.

    Raises:
        SettingsError: a module of `TASK_MODULES` does not exist.
    """
    app = CeleryApp(store, current=current)
    # `inspect stats`, which Flower calls, sends the transport's options as JSON. If a reply cannot be encoded, the
    # worker connects anew and waits.
    register_type(Store, None, repr)
    app.config_from_object(config.options(store))
    if not store.settings.broker_is_redis:
        external_broker.install(app, store)
    else:
        publish_signals.install(app, store)

    def log_as_the_web_does(**_: Any) -> None:
        logs.configure(store.settings.log_level, store.settings.log_format)
        log_notices()

    if current:
        setup_logging.connect(log_as_the_web_does, weak=False)
        worker_process_shutdown.connect(lambda **_: spans.flush(), weak=False)
    tasks.load(store.settings)
    if current:
        app.set_current()  # a module of tasks may have created an application of its own
    register_tasks(app)
    sending.install(app, store)
    return app


def register_tasks(app: Celery) -> None:
    """Make each task type a Celery task, so that Celery's tools and Flower show it under its name."""
    for each in catalog():
        name = WIRE_NAMES.get(each.name, each.name)
        if name not in app.tasks:
            _register(app, each, name)


def _register(app: Celery, task_definition: TaskDefinition, name: str) -> None:
    def body(self: Task) -> Any:
        return execute(task_definition, self)

    body.__qualname__ = name  # not __name__, which Celery compiles: `my-task` is not an identifier
    body.__module__ = task_definition.function.__module__
    body.__doc__ = task_definition.description
    options = {
        "Request": "server.celery_app.worker.request:LeasedRequest",
        "bind": True,
        "acks_late": True,
        "track_started": True,
        "soft_time_limit": task_definition.limits.soft,
        "time_limit": task_definition.limits.hard,
        "throws": (TaskError,),  # expected: no traceback in the log
    }
    app.task(name=name, **options)(body)


def route(name: str, *_: Any, **__: Any) -> dict[str, str] | None:
    """Choose the queue of a task, for Celery's `task_routes` (Celery 6 drops a task's `queue` attribute)."""
    return {"queue": definition(name).queue} if is_registered(name) else None
