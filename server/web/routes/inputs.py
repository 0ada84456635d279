"""The input of a task: its stored parameters without secrets, and its uploads by name, type and size."""

from typing import Any

import pydantic_core
from flask import Response
from pydantic import Field

from server.logs import PLACEHOLDER
from server.sdk.registry import secrets_of
from server.services.retry import stored_input
from server.services.status import WireObject
from server.store.record import Record
from server.web.current import store
from server.web.errors import TASK_PROBLEMS
from server.web.openapi.route import Api, ok
from server.web.responses import json_answer
from server.web.routes.tasks import find

route = Api("inputs", "tickets")


class TaskGiven(WireObject):
    """The input of a task."""

    task_id: str = Field(json_schema_extra={"format": "uuid"})
    task: str
    input: dict[str, Any] = Field(
        description=f"The parameters; uploads by filename, media type and size, secrets as `{PLACEHOLDER}`."
    )


#: The fields of a stored upload that a client may see; the key of its bytes is not one.
_UPLOAD_FIELDS = {"filename": "filename", "media_type": "media_type", "size": "bytes", "sha256": "sha256", "url": "url"}


@route.get("/tasks/<task_id>/input", ok(TaskGiven, "The parameters."), problems=(*TASK_PROBLEMS, "expired-input"))
def get_input(task_id: str) -> Response:
    """The input of a task."""
    record = find(task_id)
    return json_answer(TaskGiven(task_id=record.id, task=record.task_type, input=input_of(record)))


def input_of(record: Record) -> dict[str, Any]:
    """The parameters of a task without secrets, with descriptions of its uploads."""
    parameters = secrets_of(record.task_type).hide(pydantic_core.from_json(stored_input(store(), record)))
    return {name: _visible(value) for name, value in parameters.items()}


def _visible(value: Any) -> Any:
    if isinstance(value, list):
        return [_visible(each) for each in value]
    if not isinstance(value, dict) or not {"key", "filename", "media_type"} <= value.keys():
        return value
    return {field: value[name] for name, field in _UPLOAD_FIELDS.items() if value.get(name) not in (None, "")}
