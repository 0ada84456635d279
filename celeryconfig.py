"""Celery's settings, for tools that look for them here. `server/celery_app/config.py` defines them."""

from server.celery_app.config import options

__all__ = ["options"]
