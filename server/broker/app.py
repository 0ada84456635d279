"""The Celery application."""

from celery import Celery, Task
from celery.signals import setup_logging

from server import logs
from server.settings import settings


class HeldTask(Task):  # type: ignore[misc]
    """A user's own Celery task: no record, but its message is renewed while a worker holds it."""

    Request = "server.worker.request:HeldRequest"


def create_celery() -> Celery:
    """Make the application; its settings are in `celeryconfig.py`, by Celery's own names."""
    app = Celery("coatcheck", set_as_current=True, task_cls=HeldTask)
    app.config_from_object("celeryconfig")
    return app


@setup_logging.connect  # type: ignore[untyped-decorator]
def _log_as_the_web_does(**_: object) -> None:
    logs.configure(settings().log_level)
