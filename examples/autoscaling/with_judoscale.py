"""Coatcheck's worker with Judoscale's adapter: `celery -A examples.autoscaling.with_judoscale worker`, see `Procfile`.

`pip install judoscale`; the add-on sets JUDOSCALE_URL. The first worker reports. Without QUEUES, the adapter takes
every list in Redis for a queue.
"""

from judoscale.celery import judoscale_celery

from server.cli.entry import celery
from server.sdk.registry import queue_names

judoscale_celery(celery, {"CELERY": {"QUEUES": sorted(queue_names())}})
