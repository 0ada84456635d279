"""The route of a task's input, and its object."""

from typing import Any

from pydantic import BaseModel, Field

from server.web.openapi.answers import OF_TASK, UNCHANGED, found
from server.web.openapi.models import WireObject
from server.web.openapi.route import Route


class TaskGiven(WireObject):
    """The input of a task."""

    task_id: str = Field(json_schema_extra={"format": "uuid"})
    task: str
    input: dict[str, Any] = Field(description="The parameters; uploads by filename, media type and size.")


MODELS: tuple[type[BaseModel], ...] = (TaskGiven,)

INPUTS: tuple[Route, ...] = (
    Route(
        "get",
        "/tasks/{task_id}/input",
        "get_input",
        "tickets",
        "The input of a task",
        (found("TaskGiven", "The parameters."), UNCHANGED),
        parameters=("task_id", "If-None-Match"),
        problems=OF_TASK,
    ),
)
