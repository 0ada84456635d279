"""Coatcheck with HireFire's endpoint: `gunicorn --config gunicorn.conf.py examples.autoscaling.with_hirefire`.

`pip install hirefire-resource`; HireFire sets HIREFIRE_TOKEN. Choose "Job Queue Latency" for the dyno `worker`.
"""

from hirefire_resource import HireFire
from hirefire_resource.middleware.wsgi.flask import HireFireMiddleware

from server.cli.entry import application
from server.web.current import EXTENSION

counters = application.extensions[EXTENSION].counters


def latency() -> int:
    """Seconds that the oldest task of the queue has waited."""
    return int(counters.latency("default"))


with HireFire.configure() as config:
    config.dyno("worker", latency)

application.wsgi_app = HireFireMiddleware(application)
