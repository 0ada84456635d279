"""Batches: which tasks one request has stored, which items were refused, and when the last task has ended.

A batch is a hash:

    o owner     ids of its tasks, or an outcome instead of an id     at numbers of these items ('': all)
    left tasks that have not ended      f its end (ms since 1970)      life seconds for which it is kept after its end
    bad how many items had another problem      problems these (compressed JSON)
    wh webhook (URL)      wt its deliveries (JSON)      h request id      tp traceparent, ts tracestate of the request
"""

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from server.logs.trace import NO_TRACE, Trace
from server.store.errors import CoatcheckError
from server.store.lua import Scripts
from server.store.submit import refusal

#: Bytes of compressed problems that are stored with a batch. Longer ones are stored without their details.
MAX_PROBLEMS = 64 * 1024

#: Characters of an id.
_ID = 36

#: Seconds for which an announced batch waits to be stored.
_ANNOUNCED = 60


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch's items by their number, from 0.

    `tasks` were stored for it. `items` has these and the earlier tasks that had the key of an item (`unique`). Items in
    `refusals` could not be stored, and `bad` others have a problem.
    """

    id: str
    owner: str
    tasks: dict[int, str]
    items: dict[int, str]
    refusals: dict[int, CoatcheckError]
    bad: int = 0
    webhook: str = ""
    finished_ms: int | None = None
    #: Those of a batch with a webhook.
    request_id: str = ""
    trace: Trace = NO_TRACE

    @property
    def task_ids(self) -> list[str]:
        """Return the ids of its tasks, in the order of the items."""
        return list(self.tasks.values())


class Batches(Scripts):
    """Reads batches. `Submits` stores them with their tasks."""

    def announce(
        self, batch_id: str, webhook: str, problems: Mapping[int, dict[str, Any]], request_id: str, trace: Trace
    ) -> None:
        """Store the other data of a batch before its tasks."""
        fields: dict[str, bytes | str] = {}
        if webhook:
            all_fields = {"wh": webhook, "h": request_id, "tp": trace.parent, "ts": trace.state}
            fields |= {name: value for name, value in all_fields.items() if value}
        if problems:
            fields |= {"bad": str(len(problems)), "problems": _packed(problems)}
        if fields:
            with self.redis.pipeline() as pipe:
                pipe.hset(self.keys.batch(batch_id), mapping=fields)
                pipe.expire(self.keys.batch(batch_id), _ANNOUNCED)
                pipe.execute()

    def get(self, batch_id: str) -> Batch | None:
        """Return a batch, or None."""
        names = ("o", "ids", "at", "bad", "f", "wh", "h", "tp", "ts")
        owner, ids, at, bad, finished, *texts = self.redis.hmget(self.keys.batch(batch_id), *names)
        if owner is None:
            return None
        lines = ids.decode().split(",") if ids else []
        outcomes = dict(zip(map(int, at.split(b",")) if at else range(len(lines)), lines, strict=True))
        limit = self._config.max_waiting_per_owner
        webhook, request_id, parent, state = ((text or b"").decode() for text in texts)
        refusals = {number: refusal(line, limit, self._config) for number, line in outcomes.items()}
        return Batch(
            batch_id,
            owner.decode(),
            {number: line for number, line in outcomes.items() if len(line) == _ID},
            {number: line[-_ID:] for number, line in outcomes.items() if refusals[number] is None},
            {number: error for number, error in refusals.items() if error is not None},
            int(bad or 0),
            webhook,
            int(finished) if finished else None,
            request_id,
            Trace(parent, state),
        )

    def problems(self, batch_id: str) -> dict[int, dict[str, Any]]:
        """Return the problems of items by their number: RFC 9457 objects, without the application's prefix."""
        packed = self.redis.hget(self.keys.batch(batch_id), "problems")
        return {int(number): body for number, body in json.loads(zlib.decompress(packed)).items()} if packed else {}


def _packed(problems: Mapping[int, dict[str, Any]]) -> bytes:
    packed = zlib.compress(json.dumps(problems).encode(), 1)
    if len(packed) > MAX_PROBLEMS:
        short = {number: {**problem, "detail": "", "errors": []} for number, problem in problems.items()}
        packed = zlib.compress(json.dumps(short).encode(), 1)
    return packed
