"""Celery's result backend over the store: `AsyncResult(id).state` and the HTTP routes read the same record."""

import ast
import json
from contextlib import suppress
from functools import cached_property, reduce
from importlib import import_module
from typing import Any

import redis
from celery.backends.base import SyncBackendMixin
from celery.backends.redis import RedisBackend

from server.celery_app.exposed.expose import is_exposed
from server.celery_app.exposed.tracer import STATE
from server.celery_app.worker.burst import store_success
from server.celery_app.worker.execution import store_end
from server.sdk.errors import describe
from server.services.throttling import release_next
from server.store import Store
from server.store.connection import UNREACHABLE
from server.store.record import Record, Status, counted_bytes

_ENDS = {"SUCCESS": Status.SUCCEEDED, "FAILURE": Status.FAILED}


class RecordBackend(RedisBackend):  # type: ignore[misc]
    """Reads and writes the records of our own tasks. Results of other Celery tasks are stored as by stock Celery.

    Stock Celery reads the old result before each write, writes STARTED and the end with a SETEX and a PUBLISH each, and
    subscribes to a channel at each publish, even if no client waits (celery/celery#6963 describes the connections that
    this costs). Here the claim sets STARTED, the end is one script, and nothing subscribes.
    """

    @cached_property
    def client(self) -> "redis.Redis":
        store: Store = self.app.store
        return store.redis

    def on_task_call(self, producer: Any, task_id: str) -> None:
        """Do nothing; stock Celery subscribes to the result here. Our clients wait for the record."""

    def store_result(
        self, task_id: str, result: Any, state: str, traceback: Any = None, request: Any = None, **kwargs: Any
    ) -> Any:
        """Store a state. For our own tasks it goes into the record, under the lease of the attempt."""
        lease_token = getattr(request, "lease_token", None)  # see `server.celery_app.worker.request`
        if lease_token is None and not self.has_record(task_id):
            return super().store_result(task_id, result, state, traceback, request, **kwargs)
        if state == "REVOKED":  # by Celery's tools, before a child had the task
            self.app.store.tasks.cancel(task_id, signal_sent=True)
        if lease_token is None or state not in _ENDS:
            return result  # the claim sets STARTED, `schedule_retry` sets RETRY
        files = getattr(request, "files", None)
        fields: dict[str, bytes | str] = {"z": json.dumps(files, separators=(",", ":"))} if files else {}
        stored_bytes = sum(file["bytes"] for file in files or ())
        if state == "SUCCESS":
            fields["r"] = result
            stored_bytes += counted_bytes(result)
        else:
            if failure := getattr(request, "failure", None):
                fields["fl"] = failure
            fields["e"] = json.dumps(getattr(request, "error", None) or describe(result))
        if stored_bytes:
            fields["bo"] = str(stored_bytes)
        if (attempt := getattr(request, "attempt", None)) is not None:
            if state == "SUCCESS":
                store_success(self.app.store, request, **fields)
            else:
                store_end(self.app.store, attempt, Status.FAILED, **fields)
            with suppress(*UNREACHABLE):  # otherwise maintenance releases it
                release_next(self.app.store, attempt)
        else:  # called by the worker's main process, which has killed the child
            self.app.store.tasks.finish(task_id, lease_token, _ENDS[state], **fields)
        return result

    def wait_for_pending(self, result: Any, timeout: float | None = None, **options: Any) -> Any:
        """Wait for the end of a task, for `AsyncResult.get`. Stock Celery waits for a message that is not sent here."""
        if not self.has_record(result.id):
            return super().wait_for_pending(result, timeout=timeout, **options)
        every = {"interval": 0.1, "on_interval": options.get("on_interval")}
        meta = SyncBackendMixin.wait_for(self, result.id, timeout=timeout, **every)
        result._maybe_set_cache(meta)
        return result.maybe_throw(propagate=options.get("propagate", True), callback=options.get("callback"))

    def has_record(self, task_id: str) -> bool:
        return bool(self.client.hexists(self.app.store.keys.task(task_id), "s"))

    def _get_task_meta_for(self, task_id: str) -> Any:
        record = self.app.store.tasks.get(task_id)
        if record is None:
            return super()._get_task_meta_for(task_id)
        state, result = self._celery_state(record)
        return self.meta_from_decoded(
            {
                "task_id": task_id,
                "name": record.task_type,
                "status": state,
                "result": result,
                "traceback": None,
                "children": [],
                "retries": record.retries,
            }
        )

    def _celery_state(self, record: Record) -> tuple[str, Any]:
        """Return state and result, or what `update_state` has reported in this attempt of an exposed task."""
        if record.status is Status.RUNNING and is_exposed(record.task_type):
            reported = self.app.store.tasks.checkpoints(record.id).get(STATE)
            attempt, state, meta = json.loads(reported) if reported else (0, "", None)
            if attempt == record.deliveries:
                return state, meta
        if record.status is Status.SUCCEEDED:
            return record.status.celery_state, json.loads(self.app.store.tasks.result(record))
        return record.status.celery_state, _celery_error(record, self.app.store.tasks.failures([record.id])[0])


def _celery_error(record: Record, report: bytes | None) -> Any:
    """Return the fields of Celery's exception: the function's own if its class can be imported, else a TaskError."""
    if not record.error or record.status not in (Status.FAILED, Status.RETRYING):
        return None
    name = record.error["type"].rpartition("/")[2]
    if name == "task-error" and report is not None and (original := _original(json.loads(report))):
        return original
    return {"exc_type": "TaskError", "exc_message": [name, record.error["detail"]], "exc_module": "server.sdk.errors"}


def _original(report: dict[str, str]) -> dict[str, Any] | None:
    """Return the exception of a failure report (`server.services.failures`), whose class may be nested in another."""
    parts = report["exception"].split(".")
    for at in range(len(parts) - 1, -1, -1):
        module = ".".join(parts[:at]) or "builtins"
        with suppress(Exception):  # a module may fail in any way when it is imported
            cls: Any = reduce(getattr, parts[at:], import_module(module))
            if issubclass(cls, Exception):
                message = report["message"]
                args = [ast.literal_eval(message)] if issubclass(cls, KeyError) else [message] if message else []
                cls(*args)
                return {"exc_type": ".".join(parts[at:]), "exc_message": args, "exc_module": module}
    return None
