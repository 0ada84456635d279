"""A task's message in Celery's protocol 2 and kombu's Redis envelope, built by the worker that fetches it.

In Redis the message of a task is the time when it was queued: 45 bytes instead of 826, stored by the same script as the
record, so that neither exists without the other. `tests/test_message.py` compares the result with `apply_async`, field
by field.
"""

from base64 import b64encode
from typing import Any

#: `[args, kwargs, embed]` of a task without arguments.
_BODY = b64encode(b'[[], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]').decode()

#: Names of our Celery tasks that are not those of their task types, because a user's Celery task has that name.
WIRE_NAMES: dict[str, str] = {}

#: Celery's priorities on Redis go from 0, the highest, to 9.
WIRE_PRIORITY = {"high": 0, "normal": 5, "low": 9}


def priority_of(number: int) -> str:
    """Return the priority for one of Celery's ten numbers, as in `lua/restore_messages.lua`."""
    return "high" if number < 4 else "low" if number > 6 else "normal"


def build(task_id: str, tag: str, task_type: str, queue: str, priority: str) -> dict[str, Any]:
    """Return a message of its own for each call, since Celery may change it."""
    return {
        "body": _BODY,
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {
            "lang": "py",
            "task": WIRE_NAMES.get(task_type, task_type),
            "id": task_id,
            "shadow": None,
            "eta": None,
            "expires": None,
            "group": None,
            "group_index": None,
            "retries": 0,
            "timelimit": [None, None],
            "root_id": task_id,
            "parent_id": None,
            "argsrepr": "()",
            "kwargsrepr": "{}",
            "origin": "coatcheck",
            "ignore_result": False,
            "replaced_task_nesting": 0,
            "stamped_headers": None,
            "stamps": {},
        },
        "properties": {
            "correlation_id": task_id,
            "reply_to": "",
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": queue},
            "priority": WIRE_PRIORITY[priority],
            "body_encoding": "base64",
            "delivery_tag": tag,
        },
    }
