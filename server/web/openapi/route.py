"""The description of a route and its responses, and its OpenAPI operation."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import wraps
from inspect import getdoc
from typing import Any, TypedDict, TypeVar, Unpack, cast

from flask import Blueprint, request
from pydantic import BaseModel

from server.services.status import TaskStatus
from server.web.addresses import template
from server.web.errors import Problem, registered
from server.web.middleware import require_admin, require_metrics, require_submit
from server.web.openapi.components import Schema, named_references, reference
from server.web.openapi.parameters import PARAMETERS
from server.web.openapi.responses import Group, problem_name

F = TypeVar("F", bound=Callable[..., Any])


class Access(StrEnum):
    """The role that a route requires."""

    ANYONE = "anyone"
    KEY = "any key"
    SUBMIT = "a key with the role submit"
    ADMIN = "an admin's key"
    METRICS = "a key with the role metrics"


_OF_KEYS = ("too-many-wrong-keys", "too-many-requests", "unavailable")

#: Raises the problem `forbidden` for a caller without the role.
_REQUIRED: Mapping[Access, Callable[[], object]] = {
    Access.SUBMIT: require_submit,
    Access.ADMIN: require_admin,
    Access.METRICS: require_metrics,
}


def _problems_of(access: Access) -> tuple[str, ...]:
    if access is Access.ANYONE:
        return ()
    return ("unauthenticated", *(("forbidden",) if access in _REQUIRED else ()), *_OF_KEYS)


_PATH_PARAMETER = re.compile(r"<(\w+)>")

Media = Schema | type[BaseModel]  # the content of a response: a model, or a JSON Schema

CACHED: tuple[str, ...] = ("ETag", "Cache-Control")
TICKET_HEADERS: tuple[str, ...] = ("Location", "Operation-Location", "Retry-After", "RateLimit", "RateLimit-Policy")

#: The description of each stream of events.
STREAM = "Server-sent events, with a comment as heartbeat after 15 seconds without an event."


@dataclass(frozen=True, slots=True)
class ResponseSpec:
    """A successful response. `headers` and `links` are names in responses.py; `content` is {} if the body is bytes."""

    status: int
    description: str
    content: Media | None = None
    headers: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    media_type: str = "application/json"

    def response(self) -> dict[str, Any]:
        response: dict[str, Any] = {
            "description": self.description,
            "headers": named_references("headers", "X-Request-ID", *self.headers),
        }
        if self.content is not None:
            # Bytes have no schema (OpenAPI 3.1.1, "Working with Binary Data").
            media = {"schema": with_references(self.content)} if self.content else {}
            response["content"] = {self.media_type: media}
        if self.links:
            response["links"] = named_references("links", *self.links)
        return response


def ok(content: Media, description: str, *headers: str) -> ResponseSpec:
    """Describe 200 with an object that a client may cache."""
    return ResponseSpec(200, description, content, (*CACHED, *headers))


def status_with(status: int, description: str, *headers: str, links: tuple[str, ...] = ()) -> ResponseSpec:
    """Describe a response with the status object."""
    return ResponseSpec(status, description, TaskStatus, (*CACHED, *headers), links)


def stream_of(model: type[BaseModel], description: str) -> tuple[ResponseSpec, ResponseSpec]:
    """Describe a stream of events, and its end for a client that has received them all."""
    events = ResponseSpec(200, description, model, ("Cache-Control",), media_type="text/event-stream")
    return events, ResponseSpec(204, "The client has already received `done`.")


def json_body(schema: Media, example: Any, *, required: bool = True) -> dict[str, Any]:
    """Describe a request's body (a Request Body Object)."""
    return {"required": required, "content": {"application/json": {"schema": schema, "example": example}}}


UNCHANGED = ResponseSpec(304, "Not changed since this `ETag`.", headers=CACHED)


@dataclass(frozen=True, slots=True)
class Route:
    """One operation. `parameters` are names in parameters.py, `inline` whole Parameter Objects."""

    method: str
    path: str
    operation_id: str
    responses: tuple[ResponseSpec, ...]
    tag: str = ""
    summary: str = ""
    access: Access = Access.KEY
    description: str = ""
    parameters: tuple[str, ...] = ()
    inline: tuple[Mapping[str, Any], ...] = ()
    body: dict[str, Any] | None = None
    problems: tuple[str, ...] = ()
    sample: str = ""  # the part of a sample command after the address, for the docs page

    @property
    def changes(self) -> bool:
        """Whether it changes something, so that a name in its query which it does not know must not be ignored."""
        return self.method != "get"

    @property
    def query_names(self) -> frozenset[str]:
        """The names that its query may have."""
        parameters = (*(PARAMETERS[name] for name in self.parameters), *self.inline)
        return frozenset(each["name"] for each in parameters if each["in"] == "query")

    def problem_groups(self) -> list[Group]:
        groups: dict[int, list[str]] = {}
        refused = ("bad-request",) if self.changes else ()
        for name in (*self.problems, *refused, *_problems_of(self.access), "internal-error"):
            names = groups.setdefault(registered(name).status, [])
            if name not in names:
                names.append(name)
        return [tuple(groups[status]) for status in sorted(groups)]

    def models(self) -> Iterator[type[BaseModel]]:
        for response in self.responses:
            yield from models_in(response.content)
        yield from models_in(self.body)

    def operation(self) -> dict[str, Any]:
        operation: dict[str, Any] = {"operationId": self.operation_id, "tags": [self.tag], "summary": self.summary}
        if self.description:
            operation["description"] = self.description
        if self.access is Access.ANYONE:
            operation["security"] = []
        names = named_references("parameters", *self.parameters, "X-Request-ID")
        operation["parameters"] = [*names.values(), *self.inline]
        if self.body is not None:
            operation["requestBody"] = with_references(self.body)
        operation["responses"] = self._responses()
        return operation

    def _responses(self) -> dict[str, Any]:
        responses: dict[str, Any] = {str(each.status): each.response() for each in self.responses}
        for group in self.problem_groups():
            ref = f"#/components/responses/{problem_name(group)}"
            responses[str(registered(group[0]).status)] = {"$ref": ref}
        responses["default"] = {"$ref": "#/components/responses/Problem"}
        return responses


def models_in(value: Any) -> Iterator[type[BaseModel]]:
    if isinstance(value, type):
        yield value
    elif isinstance(value, Mapping):
        yield from models_in(list(value.values()))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from models_in(each)


def with_references(value: Any) -> Any:
    """The same part of the document with a reference in place of each model."""
    if isinstance(value, type):
        return reference(value.__name__)
    if isinstance(value, Mapping):
        return {name: with_references(each) for name, each in value.items()}
    return [with_references(each) for each in value] if isinstance(value, list | tuple) else value


class Described(TypedDict, total=False):
    """The optional fields of a `Route`."""

    tag: str
    summary: str
    access: Access
    description: str
    parameters: tuple[str, ...]
    inline: tuple[Mapping[str, Any], ...]
    body: dict[str, Any]
    problems: tuple[str, ...]
    sample: str


class Api:
    """A blueprint whose routes are described where they are written.

    The view's name is the operation's id, and its docstring is summary and description. A role that `access` names is
    required before the view is called. Path parameters that parameters.py describes, and the response 304 of a GET with
    an `ETag`, need no description.
    """

    def __init__(self, name: str, tag: str = "") -> None:
        self.blueprint = Blueprint(name, __name__)
        self.routes: list[Route] = []
        self._tag = tag

    def describe(self, described: Route) -> None:
        """Describe a route that another rule serves, such as the HEAD of a GET."""
        self.routes.append(described)

    def get(self, rule: str, *responses: ResponseSpec, **described: Unpack[Described]) -> Callable[[F], F]:
        """Serve GET at a rule. The other arguments are fields of its `Route`."""
        return self._route("get", rule, responses, described)

    def post(self, rule: str, *responses: ResponseSpec, **described: Unpack[Described]) -> Callable[[F], F]:
        """Serve POST; the arguments are those of `get`."""
        return self._route("post", rule, responses, described)

    def put(self, rule: str, *responses: ResponseSpec, **described: Unpack[Described]) -> Callable[[F], F]:
        """Serve PUT; the arguments are those of `get`."""
        return self._route("put", rule, responses, described)

    def patch(self, rule: str, *responses: ResponseSpec, **described: Unpack[Described]) -> Callable[[F], F]:
        """Serve PATCH; the arguments are those of `get`."""
        return self._route("patch", rule, responses, described)

    def delete(self, rule: str, *responses: ResponseSpec, **described: Unpack[Described]) -> Callable[[F], F]:
        """Serve DELETE; the arguments are those of `get`."""
        return self._route("delete", rule, responses, described)

    def _route(
        self, method: str, rule: str, responses: tuple[ResponseSpec, ...], described: Described
    ) -> Callable[[F], F]:
        named = tuple(name for name in _PATH_PARAMETER.findall(rule) if name in PARAMETERS)
        described = {"tag": self._tag, **described, "parameters": (*named, *described.get("parameters", ()))}
        if method == "get" and "ETag" in responses[0].headers:
            responses = (*responses, UNCHANGED)
            described["parameters"] += ("If-None-Match",)

        def register(view: F) -> F:
            summary, _, description = (getdoc(view) or "").partition("\n")
            texts: Described = {"summary": summary.rstrip("."), "description": " ".join(description.split())}
            texts.update(described)
            route = Route(method, template(rule), view.__name__, responses, **texts)
            self.describe(route)
            served = _checked(route, view)
            self.blueprint.add_url_rule(rule, view_func=served, methods=[method.upper()])
            return served

        return register


def _checked(route: Route, view: F) -> F:
    """Call the view after a check of the caller's role, and of the query of a route that changes something."""
    require = _REQUIRED.get(route.access)
    allowed = route.query_names if route.changes else None
    if require is None and allowed is None:
        return view

    @wraps(view)
    def checked(**arguments: str) -> Any:
        if require:
            require()
        if allowed is not None and (unknown := [name for name in request.args if name not in allowed]):
            raise Problem("bad-request", f"Unknown in the query: {', '.join(unknown)}.")
        return view(**arguments)

    return cast(F, checked)
