"""The broker's keys. Celery, kombu and their tools expect a queue's list under the queue's own name."""

from server.store.keys.base import Prefixed

#: kombu's separator between a queue's name and the number of an additional list of the queue.
_SEPARATOR = "\x06\x16"


class BrokerKeys(Prefixed):
    """Keys with kombu's names, and the one that wakes a worker."""

    def bell(self, queue: str) -> str:
        """A list that wakes a worker waiting for a message of this queue. It is ours: Celery has no such list."""
        return f"{self.prefix}bell:{queue}"

    def normal_list(self, queue: str) -> str:
        """The messages of normal priority, under the name whose length tools such as KEDA read."""
        return queue

    def high_list(self, queue: str) -> str:
        """The messages of high priority."""
        return f"{queue}{_SEPARATOR}1"

    def low_list(self, queue: str) -> str:
        """The messages of low priority."""
        return f"{queue}{_SEPARATOR}2"

    @property
    def unacked(self) -> str:
        """kombu's hash of the messages that workers hold: delivery tag to message."""
        return "unacked"

    @property
    def unacked_index(self) -> str:
        """kombu's delivery tags, by the time of their last renewal (seconds)."""
        return "unacked_index"

    def list_of(self, queue: str, priority: str) -> str:
        """Return the list of a queue's messages of one priority."""
        lists = {"high": self.high_list, "normal": self.normal_list, "low": self.low_list}
        return lists[priority](queue)
