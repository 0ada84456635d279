"""A process that tells Judoscale how long tasks wait: `python -m examples.autoscaling.report_to_judoscale`.

`pip install judoscale`; the add-on sets JUDOSCALE_URL. Judoscale's own adapter for Celery cannot be used: it looks for
a time inside each message, and a message of Coatcheck is the id of a task.
"""

import sys
import time

from judoscale.core.adapter import Adapter, AdapterInfo
from judoscale.core.metric import Metric
from judoscale.core.reporter import reporter

from server import __version__, tasks
from server.sdk.registry import queue_names
from server.settings import load
from server.store import Store


class Queues:
    """Reads how much waits in each queue, and for how long."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def collect(self) -> list[Metric]:
        """The metrics of one report."""
        found = []
        for queue, waiting in self._store.queues.waiting(sorted(queue_names())).items():
            found.append(Metric.for_queue(queue, time.time() - self._store.counters.latency(queue)))
            found.append(Metric.for_queue_depth(queue, waiting))
        return found


if __name__ == "__main__":
    settings = load()
    tasks.load(settings)
    info = AdapterInfo(runtime_version=sys.version.split()[0], adapter_version=__version__)
    reporter.add_adapter(Adapter("judoscale-coatcheck", info, Queues(Store(settings))))
    reporter.start()
    while True:
        time.sleep(60)
