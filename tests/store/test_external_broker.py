"""The messages of another broker: kombu's broker in memory, without a worker."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from celery.signals import after_task_publish
from submitting import submit_many

from server.celery_app.external_broker import install
from server.store import Store


@pytest.fixture
def other(store: Store) -> Iterator[Store]:
    """A store whose broker is another one."""
    other = Store(store.settings.model_copy(update={"celery_broker_url": "memory://"}))
    install(Celery(broker="memory://", set_as_current=False), other)
    yield other
    other.redis.close()


def unpublished(store: Store) -> list[str]:
    return store.leases.unpublished(store.leases.now_ms() + 1000, 10)


def test_a_message_that_the_broker_has_is_not_published_again(other: Store) -> None:
    submit_many(other, 1)
    assert unpublished(other) == []


def test_a_task_that_is_queued_again_before_its_submit_has_ended_gets_another_message(other: Store) -> None:
    def run_and_return(headers: Any, **_: Any) -> None:
        """A fast worker, which stops."""
        assert other.tasks.claim(headers["id"], "w/1")
        time.sleep(0.002)  # times are milliseconds
        assert other.leases.release(headers["id"], "w/1", crashed=False)

    after_task_publish.connect(run_and_return, weak=False)
    try:
        ids = submit_many(other, 1)
    finally:
        after_task_publish.disconnect(run_and_return)

    assert unpublished(other) == ids
