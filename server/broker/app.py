"""The Celery application."""

from celery import Celery
from celery.signals import setup_logging

from server import logs
from server.settings import settings


def create_celery() -> Celery:
    """Make the application; its settings are in `celeryconfig.py`, by Celery's own names."""
    app = Celery("coatcheck", set_as_current=True)
    app.config_from_object("celeryconfig")
    return app


@setup_logging.connect  # type: ignore[untyped-decorator]
def _log_as_the_web_does(**_: object) -> None:
    logs.configure(settings().log_level)
