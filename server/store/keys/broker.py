"""The broker's keys. Celery, kombu and their tools expect a queue's list under the queue's own name."""

from server.store.keys.base import Key, Name, Prefixed


class BrokerKeys(Prefixed):
    """Keys with kombu's names, and the one that wakes a worker."""

    #: A list that wakes a worker waiting for a message of this queue. It is ours: Celery has no such list.
    bell = Key("bell:{queue}")
    #: The messages of normal priority, under the name whose length tools such as KEDA read.
    normal_list = Key("{queue}", foreign=True)
    #: The messages of high priority, with kombu's separator before the number of an additional list of the queue.
    high_list = Key("{queue}\x06\x161", foreign=True)
    #: The messages of low priority.
    low_list = Key("{queue}\x06\x162", foreign=True)
    #: kombu's hash of the messages that workers hold: delivery tag to message.
    unacked = Name("unacked", foreign=True)
    #: kombu's delivery tags, by the time of their last renewal (seconds).
    unacked_index = Name("unacked_index", foreign=True)
