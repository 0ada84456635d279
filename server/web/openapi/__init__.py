"""The OpenAPI 3.1 document, which describes every route for clients.

    routes.py      every route, one entry each: add new ones here; many.py: routes for many tasks at a time
    route.py       the description of a route; answers.py: answers that several routes share
    submits.py     the routes of each task type
    parts.py       headers, parameters, links and problem answers that routes refer to by name
    models.py      the objects on the wire
    components.py  JSON Schemas moved into one namespace
    notation.py    a schema as text, and a sample value for it

Source: OpenAPI 3.1.1, https://spec.openapis.org/oas/v3.1.1; its schemas are JSON Schema 2020-12.
"""

import json
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from server import __version__
from server.sdk.definition import TaskDefinition
from server.sdk.registry import catalog
from server.web.openapi import parts
from server.web.openapi.components import Components
from server.web.openapi.feeds import MODELS as FEED_MODELS
from server.web.openapi.inputs import MODELS as INPUT_MODELS
from server.web.openapi.many import MODELS as BULK_MODELS
from server.web.openapi.models import place_wire_models
from server.web.openapi.queues import MODELS as QUEUE_MODELS
from server.web.openapi.route import Route
from server.web.openapi.routes import ROUTES, TAGS
from server.web.openapi.schedules import MODELS as SCHEDULE_MODELS
from server.web.openapi.submits import place_kinds, submit_routes
from server.web.openapi.webhooks import CALLS

__all__ = ["build", "document", "routes", "serialized"]

_ABOUT = """\
Submit slow jobs over HTTP, follow their status, and fetch their results.

`POST /tasks/{name}` stores a task and answers 202 with its `task_id` before it runs. `GET /tasks/{task_id}` returns its
status. `GET /tasks/{task_id}/result` answers 202 until it has ended, then 200 with the result.

Every error is `application/problem+json` (RFC 9457); its `type` is the address of a page that explains it. An
unsupported method is 405 (`method-not-allowed`) with `Allow`, an unknown task type 404 (`unknown-task-type`). Every
answer has `X-Request-ID`.
"""


def document() -> dict[str, Any]:
    """The document of this process's tasks, built once. It is shared; do not modify it."""
    return _document()


@lru_cache(maxsize=1)
def _document() -> dict[str, Any]:
    return build(catalog())


@lru_cache(maxsize=1)
def serialized() -> bytes:
    """The document as compact JSON."""
    return json.dumps(document(), ensure_ascii=False, separators=(",", ":")).encode()


def build(kinds: Iterable[TaskDefinition]) -> dict[str, Any]:
    """Build the document of a server with these task types."""
    kinds = list(kinds)
    components = Components()
    place_wire_models(components, (*SCHEDULE_MODELS, *QUEUE_MODELS, *INPUT_MODELS, *FEED_MODELS, *BULK_MODELS))
    place_kinds(kinds, components)
    found = [*submit_routes(kinds, components), *ROUTES]
    return {
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {"title": "Coatcheck", "version": __version__, "description": _ABOUT},
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}, {"session": []}],
        "tags": [{"name": name, "description": description} for name, description in TAGS.items()],
        "paths": _paths(found),
        "webhooks": CALLS,
        "components": {
            "schemas": components.schemas,
            "responses": _problem_answers(found),
            "parameters": parts.PARAMETERS,
            "headers": parts.HEADERS,
            "links": parts.LINKS,
            "securitySchemes": parts.SECURITY_SCHEMES,
        },
    }


def routes() -> list[Route]:
    """The routes that do not depend on the task types."""
    return list(ROUTES)


def _paths(found: Iterable[Route]) -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for route in found:
        paths.setdefault(route.path, {})[route.method] = route.operation()
    return paths


def _problem_answers(found: Iterable[Route]) -> dict[str, Any]:
    groups = {group for route in found for group in route.problem_groups()}
    named = {parts.problem_name(group): parts.problem_answer(group) for group in sorted(groups)}
    return named | {"Problem": parts.any_problem()}
