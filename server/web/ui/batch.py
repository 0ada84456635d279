"""A batch's own page: its counts, its tasks, its refused items, and actions on all of it."""

from collections import Counter
from typing import Any

from flask import request
from werkzeug.wrappers import Response as BaseResponse

from server.store.batches import Batch
from server.store.record import Status
from server.web.addresses import prefix
from server.web.current import store
from server.web.long_poll import event_stream
from server.web.middleware import caller
from server.web.routes.bulk.batch import find_batch, problems_of
from server.web.ui.blueprint import page, ui, url
from server.web.ui.format.filters import read_inputs
from server.web.ui.stream import PageParts, when_changed
from server.web.ui.tasks import now_ms, reasons

_MAX_ROWS = 100  # maximum rows of a batch on its page


@ui.get("/ui/batches/<batch_id>")
def batch(batch_id: str) -> BaseResponse:
    """Show a batch with its tasks, of all statuses or one."""
    found_batch = find_batch(batch_id)
    live = url(f"/ui/batches/{batch_id}/events", request.args)
    return page(
        "batch.html", "/ui/tasks", live=live, refused=problems_of(found_batch, prefix()), **_values(found_batch)
    )


@ui.get("/ui/batches/<batch_id>/events")
def batch_events(batch_id: str) -> BaseResponse:
    """Follow a batch; its records are read after a change of its counts."""
    found_batch = find_batch(batch_id)
    values = when_changed(lambda: store().listing.count_by_status(found_batch.task_ids), lambda: _values(found_batch))
    return event_stream(PageParts(caller(), "batch.html", ("counts", "rows"), values))


def _values(batch: Batch) -> dict[str, Any]:
    chosen, first = request.args.get("status", ""), max(0, request.args.get("from", 0, int))
    records = [record for record in store().tasks.get_many(batch.task_ids) if record]
    counts = Counter(record.status for record in records)
    matching = [record for record in records if chosen in ("", record.status)]
    shown = matching[first : first + _MAX_ROWS]
    read_inputs(shown)
    return {
        "batch": batch,
        "chosen": chosen,
        "first": first,
        "records": shown,
        "matching": len(matching),
        "reasons": reasons(store(), caller(), shown),
        "now": now_ms(),
        "tabs": [("", len(records)), *((each, counts[each]) for each in Status if counts[each] or each == chosen)],
        "ended": sum(count for status, count in counts.items() if status.done),
        "deleted": len(batch.task_ids) - len(records),
        "cancels": sum(not record.status.done and record.status is not Status.CANCELING for record in records),
        "retries": sum(record.status is Status.FAILED and not record.retried_as for record in records),
    }
