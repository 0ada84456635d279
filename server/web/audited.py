"""Which requests the audit records. Submits are not among them: each task has its own record."""

import logging
from collections.abc import Mapping

from flask import Response, g, request

from server.logs import event
from server.store.audit import Act
from server.store.connection import UNREACHABLE
from server.store.errors import CoatcheckError
from server.web.current import store

#: The action of each endpoint that is recorded. A test compares them with the routes.
ACTIONS: Mapping[str, str] = {
    "tasks.cancel_task": "cancel",
    "tasks.retry_task": "retry",
    "tasks.delete_task": "delete",
    "batch.cancel_batch": "cancel_batch",
    "batch.retry_batch": "retry_batch",
    "bulk.bulk_cancel": "bulk_cancel",
    "bulk.bulk_retry": "bulk_retry",
    "schedules.put_schedule": "put_schedule",
    "schedules.patch_schedule": "change_schedule",
    "schedules.delete_schedule": "delete_schedule",
    "queues.stop_worker": "stop_worker",
    "pauses.pause_queue": "pause_queue",
    "pauses.resume_queue": "resume_queue",
    "pauses.pause_task_type": "pause_task_type",
    "pauses.resume_task_type": "resume_task_type",
    "keys.make_key": "make_key",
    "keys.revoke_key": "revoke_key",
    "webhooks.rotate_webhook_secret": "rotate_webhook_secret",
}

#: Endpoints that change something and are not recorded: they create tasks or webhooks, or sign in.
NOT_AUDITED = frozenset(
    {"tasks.submit", "batches.submit_batch", "task_query.query_tasks", "schedules.run_schedule"}
    | {"webhooks.send_webhook", "webhooks.send_batch_webhook", "ui.run_plain", "ui.sign_in", "ui.sign_out"}
)

_MAX_FILTER = 1000  # characters of a filter that are stored

log = logging.getLogger(__name__)


def record(response: Response) -> None:
    """Record the act of a request that succeeded.

    A route may set `g.audit_target`, and `g.audit_count`: 0 if nothing has changed.
    """
    action = ACTIONS.get(request.endpoint or "")
    count = g.get("audit_count", 1)
    if action is None or response.status_code >= 400 or not count:
        return
    caller = g.caller
    act = Act(
        action=action,
        by=caller.owner,
        key_id=caller.key[:16],
        target=g.get("audit_target") or next(iter((request.view_args or {}).values()), ""),
        filter=request.query_string.decode("latin-1")[:_MAX_FILTER] if action.startswith("bulk") else "",
        count=count,
        request_id=g.request_id,
    )
    try:
        store().audit.record(act)
    except (CoatcheckError, *UNREACHABLE) as error:  # the act has happened, so the client gets its answer
        event(log, "audit.failed", level=logging.WARNING, action=action, request_id=g.request_id, reason=error)
