"""Celery over our records: its application, its transport, its result backend; `worker/` is what a worker adds.

This package is the only place where Celery and kombu are imported.
"""

from server.celery_app.app import CeleryApp, create_celery

__all__ = ["CeleryApp", "create_celery"]
