"""The parts that we add to Celery's worker: leases, maintenance, child limits, a shutdown that returns tasks.

identity.py       the name of a worker process, and its queues
execution.py      one attempt of a task, in a child
endings.py        the end of a task for each exception
child.py          a child's memory, and its end when its parent dies            temp_files.py   its temporary files
burst.py          a child claims its next task itself                           child_slots.py  its task, time limits
consumer.py       keeps messages through a lost connection                      request.py      its message
maintenance/      services, each in a thread of its own: heartbeat, scheduler, rescuer, …
task_output.py    what a task prints and logs
shutdown.py       SIGTERM: finish short tasks, give the others back, end in time
"""

from celery import Celery

from server.celery_app.worker import burst, child, child_slots, identity, maintenance, request, shutdown, temp_files

__all__ = ["install"]


def install(app: Celery) -> None:
    identity.install(app)
    child.install(app.store)
    child_slots.install()
    burst.install(app.store)
    temp_files.install()
    request.install(app)
    maintenance.install()
    shutdown.install()
