"""Celery's application, transport and result backend over the store; `worker/` has the parts of a worker.

Celery and kombu are imported in this package only.
"""

from server.celery_app.app import CeleryApp, create_celery

__all__ = ["CeleryApp", "create_celery"]
