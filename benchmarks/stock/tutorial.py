"""The tutorials' set-up: Celery with one Redis as broker and backend, and Flask or FastAPI in front.

The two routes are those of Flask's page "Background Tasks with Celery". `gunicorn benchmarks.stock.tutorial:web`,
`uvicorn benchmarks.stock.tutorial:api`, `celery -A benchmarks.stock.tutorial:celery worker` (or `flower`).
`LATE_ACKS=1` adds the two settings that keep a killed worker's task.
"""

import os
from typing import Any

from celery import Celery
from celery.result import AsyncResult

URL = os.environ["REDIS_URL"]

celery = Celery("tutorial", broker=URL, backend=URL)
if os.environ.get("LATE_ACKS"):
    celery.conf.update(task_acks_late=True, task_track_started=True)


@celery.task
def divide(x: float, y: float) -> float:
    """Divide x by y."""
    return x / y


@celery.task
def empty() -> None:
    """Do nothing at all, and succeed."""


def status(task_id: str) -> dict[str, Any]:
    """The status, as in the tutorial."""
    result = AsyncResult(task_id, app=celery)
    return {
        "ready": result.ready(),
        "successful": result.successful(),
        "value": result.result if result.ready() else None,
    }


def __getattr__(name: str) -> Any:
    """Create the two web applications on first use, so that a worker imports neither."""
    makers = {"web": _flask, "api": _fastapi}
    if name not in makers:
        raise AttributeError(name)
    globals()[name] = makers[name]()
    return globals()[name]


def _flask() -> Any:
    from flask import Flask, request  # noqa: PLC0415

    web = Flask("tutorial")

    @web.post("/tasks/divide")
    def start() -> tuple[dict[str, str], int]:
        parameters = request.get_json()
        return {"task_id": divide.delay(parameters["x"], parameters["y"]).id}, 202

    @web.post("/tasks/empty")
    def start_empty() -> tuple[dict[str, str], int]:
        return {"task_id": empty.delay().id}, 202

    web.get("/tasks/<task_id>")(status)

    @web.get("/health/live")
    def live() -> dict[str, str]:
        return {"status": "live"}

    return web


def _fastapi() -> Any:
    from fastapi import FastAPI  # noqa: PLC0415
    from pydantic import BaseModel  # noqa: PLC0415

    api = FastAPI()

    class Numbers(BaseModel):
        x: float
        y: float

    @api.post("/tasks/divide", status_code=202)
    def start(numbers: Numbers) -> dict[str, str]:
        return {"task_id": divide.delay(numbers.x, numbers.y).id}

    api.get("/tasks/{task_id}")(status)

    @api.get("/health/live")
    def live() -> dict[str, str]:
        return {"status": "live"}

    return api
