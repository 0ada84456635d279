"""Defines all our keys: attributes for Python, and the same names in the scripts.

All begin with `KEY_PREFIX`, so that an operator can tell them from other programs' keys, in the database and in an ACL.
The broker's keys have no prefix: Celery, kombu and their tools expect a queue's list under the queue's own name.
"""

from server.store.keys.broker import BrokerKeys
from server.store.keys.operation import OperationKeys
from server.store.keys.tasks import TaskKeys

#: The version of the stored format. Change it when a release cannot read the data of an older one.
FORMAT = "2"


class Keys(TaskKeys, OperationKeys, BrokerKeys):
    """The names of all keys under one prefix."""
