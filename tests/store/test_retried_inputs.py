"""A retry works on a record that was read some time before."""

from dataclasses import replace

from server.sdk.registry import definition
from server.services.errors import InputExpired
from server.services.retry import retry_all
from server.services.submit import Submission, store_and_publish
from server.store import Store
from server.store.record import Status
from server.store.submit import SubmitRequest


def test_a_retry_whose_input_is_deleted_meanwhile_does_not_run_with_the_defaults(store: Store) -> None:
    sleeps = definition("long_running_task")
    task = Submission(store, sleeps, "alice").prepare(sleeps.validate_json(b'{"seconds": 7}'))
    long_input = b'{"seconds": 7' + b" " * 80 + b"}"
    store_and_publish(store, SubmitRequest("alice", [replace(task, input=long_input, input_ttl=0)]))
    assert store.tasks.claim(task.id, "w/1")
    store.tasks.finish(task.id, "w/1", Status.FAILED)
    record = store.tasks.get(task.id)
    assert record is not None
    assert store.leases.delete_expired_inputs(10) == [task.id]

    assert [type(outcome) for outcome in retry_all(store, [record], "")] == [InputExpired]
