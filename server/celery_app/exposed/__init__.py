"""Existing, unchanged Celery tasks as task types: `expose(add)`.

expose.py     the task type of a Celery task       arguments.py  its parameters, as our signatures need them
options.py    its options                          tracer.py     one run, with the steps of Celery's own tracer
sending.py    `delay`, `apply_async` and `send_task` create a record
"""

from server.celery_app.exposed.expose import expose, expose_all

__all__ = ["expose", "expose_all"]
