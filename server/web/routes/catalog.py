"""Routes of the catalog: every task type with its schemas and limits."""

from collections.abc import Mapping
from typing import Any

from flask import Response
from pydantic import Field

from server.sdk.definition import TaskDefinition
from server.sdk.registry import catalog, definition
from server.sdk.signature import Arity
from server.services.status import Number, WireObject
from server.store.stats import Pause
from server.web.addresses import prefix
from server.web.current import store
from server.web.openapi.route import Api, ok
from server.web.responses import json_answer

route = Api("catalog", "catalog")


class TaskTypeLimits(WireObject):
    """Time limits of an attempt in seconds, and the size limit of an upload in bytes."""

    soft_seconds: Number
    hard_seconds: Number
    max_upload_bytes: int


class TaskTypeLinks(WireObject):
    """Addresses of the task type: its description, and its submit."""

    self: str
    submit: str


class CatalogEntry(WireObject):
    """A task type in the catalog."""

    name: str
    summary: str
    description: str
    input_schema: dict[str, Any] = Field(description="JSON Schema (2020-12) of the parameters.")
    output_schema: dict[str, Any] = Field(description="JSON Schema (2020-12) of the result.")
    item_schema: dict[str, Any] = Field(
        default_factory=dict, description="JSON Schema (2020-12) of the items of its output, if it yields any."
    )
    uploads: dict[str, Arity] = Field(description="The upload parameters: `one` or `many` files.")
    accepts: list[str] = Field(description="Accepted media types of uploads; empty means any.")
    limits: TaskTypeLimits
    paused: bool = Field(description="Whether no task of this type starts until it is resumed.")
    links: TaskTypeLinks


class Catalog(WireObject):
    """All task types, by name."""

    tasks: list[CatalogEntry]


@route.get("/catalog", ok(Catalog, "The task types, by name."))
def list_task_types() -> Response:
    """All task types."""
    pauses = store().pauses.all()
    return json_answer(Catalog(tasks=[_entry(each, pauses) for each in catalog()]))


@route.get(
    "/catalog/<name>",
    ok(CatalogEntry, "The task type, with its schemas and limits."),
    parameters=("task_type",),
    problems=("unknown-task-type",),
)
def get_task_type(name: str) -> Response:
    """One task type."""
    return json_answer(entry(name))


def entry(name: str) -> CatalogEntry:
    """Return the entry of one task type. Raises UnknownTaskType if there is none."""
    return _entry(definition(name), store().pauses.all())


def _entry(each: TaskDefinition, pauses: Mapping[tuple[str, str], Pause]) -> CatalogEntry:
    limits = TaskTypeLimits(
        soft_seconds=each.limits.soft,
        hard_seconds=each.limits.hard,
        max_upload_bytes=each.max_upload_bytes or store().settings.max_upload_bytes,
    )
    optional = {} if each.item_schema is None else {"item_schema": each.item_schema}
    return CatalogEntry(
        name=each.name,
        summary=each.summary,
        description=each.description,
        input_schema=each.input_schema,
        output_schema=each.output_schema,
        **optional,
        uploads=dict(each.uploads),
        accepts=list(each.accepts),
        limits=limits,
        paused=("task", each.name) in pauses,
        links=TaskTypeLinks.model_validate(
            {"self": f"{prefix()}/catalog/{each.name}", "submit": f"{prefix()}/tasks/{each.name}"}
        ),
    )
