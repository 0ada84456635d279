"""The OpenAPI 3.1 document, which describes every route for clients.

Each route is described where it is written (`Api` in route.py); this package builds the document from that.

    route.py        the description of a route and its responses
    submits.py      the routes of each task type
    parameters.py   parameters that routes refer to by name
    responses.py    headers, links and problem responses that routes refer to by name
    components.py   JSON Schemas moved into one namespace
    schema_text.py  a schema as text, and a sample value for it
    webhooks.py     the request that a webhook's receiver gets

Source: OpenAPI 3.1.1, https://spec.openapis.org/oas/v3.1.1; its schemas are JSON Schema 2020-12.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from server import __version__
from server.sdk.definition import TaskDefinition
from server.services.status import TaskStatus
from server.web.openapi.components import Components
from server.web.openapi.parameters import PARAMETERS
from server.web.openapi.responses import HEADERS, LINKS, SECURITY_SCHEMES, any_problem, problem_name, problem_response
from server.web.openapi.route import Route
from server.web.openapi.submits import add_task_types, submit_route
from server.web.openapi.webhooks import CALLS
from server.web.schemas import ProblemObject

__all__ = ["TAGS", "build"]

TAGS = {
    "tasks": "Submit tasks: one address for each task type.",
    "tickets": "Follow a task: status, result, files, cancel.",
    "many": "Many tasks at a time: lists, batches and bulk calls.",
    "webhooks": "Get a call when a task has ended.",
    "schedules": "Tasks at an interval or by a cron line.",
    "feeds": "Read the rows that `fetch_feed` has stored.",
    "catalog": "The task types and their schemas.",
    "server": "Health checks, queues, workers and metrics.",
    "documents": "This document, and pages for readers.",
}

_ABOUT = """\
Submit slow jobs over HTTP, follow their status, and fetch their results.

`POST /tasks/{name}` stores a task and answers 202 with its `task_id` before it runs. `GET /tasks/{task_id}` returns its
status. `GET /tasks/{task_id}/result` answers 202 until it has ended, then 200 with the result.

Every error is `application/problem+json` (RFC 9457); its `type` is the address of a page that explains it. An
unsupported method is 405 (`method-not-allowed`) with `Allow`, an unknown task type 404 (`unknown-task-type`). Every
answer has `X-Request-ID`.
"""


def build(definitions: Iterable[TaskDefinition], routes: Sequence[Route]) -> dict[str, Any]:
    """Build the document of a server with these task types and routes."""
    definitions = list(definitions)
    components = Components()
    _add_models(components, routes)
    add_task_types(definitions, components)
    routes = [*(submit_route(each, components) for each in definitions), *routes]
    return {
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {"title": "Coatcheck", "version": __version__, "description": _ABOUT},
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}, {"session": []}],
        "tags": [{"name": name, "description": description} for name, description in TAGS.items()],
        "paths": _paths(routes),
        "webhooks": CALLS,
        "components": {
            "schemas": components.schemas,
            "responses": _problem_responses(routes),
            "parameters": PARAMETERS,
            "headers": HEADERS,
            "links": LINKS,
            "securitySchemes": SECURITY_SCHEMES,
        },
    }


class _WithoutTitles(GenerateJsonSchema):
    """Leaves out titles of fields: `Task Id` adds nothing to `task_id`."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def _add_models(components: Components, routes: Iterable[Route]) -> None:
    """Add the shared objects to the components, under their own names."""
    models: dict[type[BaseModel], None] = dict.fromkeys([ProblemObject, TaskStatus])
    models |= dict.fromkeys(model for route in routes for model in route.models())
    _, schema = models_json_schema([(model, "validation") for model in models], schema_generator=_WithoutTitles)
    components.add_all(schema["$defs"])


def _paths(routes: Iterable[Route]) -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method] = route.operation()
    return paths


def _problem_responses(routes: Iterable[Route]) -> dict[str, Any]:
    groups = {group for route in routes for group in route.problem_groups()}
    named = {problem_name(group): problem_response(group) for group in sorted(groups)}
    return named | {"Problem": any_problem()}
