"""Two applications with different settings live in one process, each with its own store."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from harness import Redis

from server.celery_app import CeleryApp, create_celery
from server.settings import Settings
from server.store import Store
from server.web.app import create_app


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[tuple[Store, Store]]:
    folders = [tmp_path / "first", tmp_path / "second"]
    for folder in folders:
        folder.mkdir()
    servers = [Redis(folder) for folder in folders]
    small, large = (
        Store(Settings(redis_url=servers[0].url, max_waiting_per_owner=1, host="127.0.0.1", worker_concurrency=1)),
        Store(Settings(redis_url=servers[1].url, max_waiting_per_owner=9, host="127.0.0.1", worker_concurrency=7)),
    )
    yield small, large
    for store, server in zip((small, large), servers, strict=True):
        store.redis.close()
        server.client.close()
        server.process.kill()


def submit(app: Flask) -> tuple[int, str]:
    answer = app.test_client().post("/tasks/divide", json={"x": 1, "y": 2})
    return answer.status_code, answer.get_json(force=True).get("task_id", "")


def test_each_application_has_its_own_tasks_and_limits(stores: tuple[Store, Store]) -> None:
    small, large = stores
    celery: tuple[CeleryApp, CeleryApp] = create_celery(small), create_celery(large)
    first, second = create_app(small), create_app(large)

    assert [submit(first)[0], submit(first)[0]] == [202, 429]
    assert [submit(second)[0], submit(second)[0]] == [202, 202]
    assert [app.conf.worker_concurrency for app in celery] == [1, 7]


def test_a_task_of_one_application_is_unknown_to_the_other(stores: tuple[Store, Store]) -> None:
    create_celery(stores[0])
    first, second = (create_app(store) for store in stores)

    _, task_id = submit(first)

    assert first.test_client().get(f"/tasks/{task_id}").status_code == 200
    assert second.test_client().get(f"/tasks/{task_id}").status_code == 404
