"""The parts that we add to Celery's worker: leases, maintenance, child limits, a shutdown that returns tasks.

identity.py       the name of a worker process, and its queues
execution.py      one attempt of a task, in a child
child_limits.py   memory limit and signals of a child                           temp_files.py  its temporary files
consumer.py       keeps messages when the connection is lost                    request.py     a held message
periodic.py       runs these services, each in its own thread:
  heartbeat.py      renews leases, kills attempts that must stop, records that the worker is alive
  maintenance.py    on the elected leader: scheduled tasks, lost tasks, expired records
  webhook_sender.py, blob_cleanup.py
shutdown.py       on SIGTERM: finish short tasks, return the others, exit in time
"""

from celery import Celery

from server.celery_app.worker import child_limits, identity, periodic, request, shutdown, temp_files

__all__ = ["install"]


def install(app: Celery) -> None:
    """Install these parts in a Celery worker before it starts."""
    identity.install(app)
    child_limits.install(app.store.settings)
    temp_files.install()
    request.install(app)
    periodic.install()
    shutdown.install()
