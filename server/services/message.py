"""A task's message, built by hand to Celery's protocol 2 and kombu's Redis envelope.

`apply_async` does the same in 0.3 to 0.6 ms and in a round trip of its own; built here, the message goes into the
same script as the record, so that neither is ever without the other. `tests/test_message.py` holds it against
`apply_async`, field by field. It carries the id and nothing heavy: the input lies in the record.
"""

import json
import secrets
from base64 import b64encode
from functools import lru_cache

from server.settings import Settings
from server.store.record import NO_MESSAGE, Message, Record

#: kombu's separator between a queue's name and a priority in a Redis key.
_SEPARATOR = "\x06\x16"

#: `[args, kwargs, embed]` of a task without arguments.
_BODY = b64encode(b'[[], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]').decode()

#: What a template has in their places: no name of a task_type or a queue has such characters.
_ID, _NONCE = "<id>", "<nonce>"


def queue_list(queue: str, rank: int) -> str:
    """The Redis list of a queue's messages of one rank (0 high, 1 normal, 2 low): kombu's `_q_for_pri`."""
    return f"{queue}{_SEPARATOR}{rank}" if rank else queue


def build(task_id: str, task_type: str, queue: str, rank: int, origin: str) -> Message:
    """The message of a task; each has its own delivery tag, for a task may be published more than once."""
    nonce = secrets.token_hex(4)
    payload = _template(task_type, queue, rank, origin).replace(_ID, task_id).replace(_NONCE, nonce)
    return Message(queue_list(queue, rank), payload.encode(), f"{task_id}:{nonce}")


@lru_cache(maxsize=256)
def _template(task_type: str, queue: str, rank: int, origin: str) -> str:
    """All but the id and the delivery's nonce: filled in for each task, it takes 3 µs where JSON took 10."""
    payload = {
        "body": _BODY,
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {
            "lang": "py",
            "task": task_type,
            "id": _ID,
            "shadow": None,
            "eta": None,
            "expires": None,
            "group": None,
            "group_index": None,
            "retries": 0,
            "timelimit": [None, None],
            "root_id": _ID,
            "parent_id": None,
            "argsrepr": "()",
            "kwargsrepr": "{}",
            "origin": origin,
            "ignore_result": False,
            "replaced_task_nesting": 0,
            "stamped_headers": None,
            "stamps": {},
        },
        "properties": {
            "correlation_id": _ID,
            "reply_to": "",
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": queue},
            "priority": rank,
            "body_encoding": "base64",
            "delivery_tag": f"{_ID}:{_NONCE}",
        },
    }
    return json.dumps(payload, separators=(",", ":"))


def for_broker(settings: Settings, task_id: str, task_type: str, queue: str, rank: int, origin: str) -> Message:
    """The message to store with a record; none where the broker is not this Redis."""
    if settings.broker_is_redis:
        return build(task_id, task_type, queue, rank, origin)
    return NO_MESSAGE


def rebuild(settings: Settings, record: Record) -> Message:
    """A new message for a record that is to be queued again."""
    return for_broker(settings, record.id, record.task_type, record.queue, record.rank, "maintenance")
