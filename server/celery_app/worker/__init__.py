"""What our worker adds to Celery's: leases, maintenance, limits of a child, a shutdown that gives tasks back.

identity.py       the name of a worker process, and its queues
execution.py      one attempt of a task, in a child
child_limits.py   a child's memory limit, and its end when its parent dies      temp_files.py  its temporary files
consumer.py       keeps messages through a lost connection                      request.py     a message that is held
periodic.py       runs the services below, each in a thread of its own:
  heartbeat.py      renews leases, kills attempts that must stop, says that the worker is alive
  maintenance.py    the elected leader's: scheduled tasks, lost tasks, expired records
  webhook_sender.py, blob_cleanup.py
shutdown.py       SIGTERM: finish short tasks, give the others back, end in time
"""

from celery import Celery

from server.celery_app.worker import child_limits, identity, periodic, request, shutdown, temp_files

__all__ = ["install"]


def install(app: Celery) -> None:
    """Add our parts to a Celery worker before it starts."""
    identity.install(app)
    child_limits.install(app.store.settings)
    temp_files.install()
    request.install(app)
    periodic.install()
    shutdown.install()
