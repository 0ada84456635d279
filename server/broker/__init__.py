"""Celery over our records: its application, its transport, its result backend, its messages."""
