"""What keeps a task's promise when a process dies: leases, sweeper, limits, shutdown.

identity.py   the name of a worker process, which is its own, and its queues
child.py      the limits of a pool child, and its end when its parent dies
scratch.py    its temporary files
consumer.py   keeps what was fetched through a lost connection
request.py    what a worker holds: the main process's side of a running task
rounds.py     what the main process does every second, each of these in a thread of its own:
  keeper.py     renews leases, kills what must stop, and beats the heart
  sweeper.py    publishes what is nowhere, ends what died too often, drops what has expired
  collector.py  deletes the files of what was dropped
  the courier of `server.webhooks`
drain.py      SIGTERM: finish what is short, hand the rest back, be gone in time
"""

from celery import Celery

from server.worker import child, drain, identity, request, rounds, scratch

__all__ = ["install"]


def install(app: Celery) -> None:
    """Put our parts into a Celery worker; called before it starts."""
    identity.install(app)
    child.install()
    scratch.install()
    request.install(app)
    rounds.install()
    drain.install()
