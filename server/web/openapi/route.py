"""The description of a route, and its OpenAPI operation."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

from flask import Blueprint
from pydantic import BaseModel

from server.web.errors import registered
from server.web.openapi import parts
from server.web.openapi.components import Schema, reference

F = TypeVar("F", bound=Callable[..., Any])

_RULE_PART = re.compile(r"<(?:\w+:)?(\w+)>")


def template(rule: str) -> str:
    """Return the path of a URL rule as in OpenAPI: `/tasks/{task_id}` for `/tasks/<task_id>`."""
    return _RULE_PART.sub(r"{\1}", rule)


class Access(StrEnum):
    """The role that a route requires."""

    ANYONE = "anyone"
    KEY = "any key"
    SUBMIT = "a key with the role submit"
    ADMIN = "an admin's key"
    FIGURES = "a key with the role metrics"


_OF_KEYS = ("too-many-wrong-keys", "too-many-requests", "unavailable")

_PROBLEMS_OF_ACCESS: Mapping[Access, tuple[str, ...]] = {
    Access.ANYONE: (),
    Access.KEY: ("unauthenticated", *_OF_KEYS),
    Access.SUBMIT: ("unauthenticated", "forbidden", *_OF_KEYS),
    Access.ADMIN: ("unauthenticated", "forbidden", *_OF_KEYS),
    Access.FIGURES: ("unauthenticated", "forbidden", *_OF_KEYS),
}


Media = Schema | type[BaseModel]  # the content of an answer: a model, or a JSON Schema


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful answer. `headers` and `links` are names in `parts`; `media` maps media types to schemas."""

    status: int
    description: str
    media: Mapping[str, Media] = field(default_factory=dict)
    headers: tuple[str, ...] = ()
    links: tuple[str, ...] = ()

    @property
    def is_stream(self) -> bool:
        """Return whether the answer is a stream of events, which does not end."""
        return "text/event-stream" in self.media

    def response(self) -> dict[str, Any]:
        made: dict[str, Any] = {
            "description": self.description,
            "headers": parts.referred("headers", "X-Request-ID", *self.headers),
        }
        if self.media:
            # Bytes have no schema (OpenAPI 3.1.1, "Working with Binary Data").
            content = self.media.items()
            made["content"] = {name: {"schema": with_references(each)} if each else {} for name, each in content}
        if self.links:
            made["links"] = parts.referred("links", *self.links)
        return made


@dataclass(frozen=True, slots=True)
class Route:
    """One operation. `parameters` are names in `parts`, `inline` whole Parameter Objects."""

    method: str
    path: str
    operation_id: str
    tag: str
    summary: str
    answers: tuple[Answer, ...]
    access: Access = Access.KEY
    description: str = ""
    parameters: tuple[str, ...] = ()
    inline: tuple[dict[str, Any], ...] = ()
    body: dict[str, Any] | None = None
    problems: tuple[str, ...] = ()
    sample: str = ""  # the part of a sample command after the address, for the docs page

    def problem_groups(self) -> list[parts.Group]:
        groups: dict[int, list[str]] = {}
        for name in (*self.problems, *_PROBLEMS_OF_ACCESS[self.access], "internal-error"):
            names = groups.setdefault(registered(name).status, [])
            if name not in names:
                names.append(name)
        return [tuple(groups[status]) for status in sorted(groups)]

    def models(self) -> Iterator[type[BaseModel]]:
        for answer in self.answers:
            yield from models_in(list(answer.media.values()))
        yield from models_in(self.body)

    def operation(self) -> dict[str, Any]:
        made: dict[str, Any] = {"operationId": self.operation_id, "tags": [self.tag], "summary": self.summary}
        if self.description:
            made["description"] = self.description
        if self.access is Access.ANYONE:
            made["security"] = []
        names = parts.referred("parameters", *self.parameters, "X-Request-ID")
        made["parameters"] = [*names.values(), *self.inline]
        if self.body is not None:
            made["requestBody"] = with_references(self.body)
        made["responses"] = self._responses()
        return made

    def _responses(self) -> dict[str, Any]:
        made: dict[str, Any] = {str(answer.status): answer.response() for answer in self.answers}
        for group in self.problem_groups():
            answer = f"#/components/responses/{parts.problem_name(group)}"
            made[str(registered(group[0]).status)] = {"$ref": answer}
        made["default"] = {"$ref": "#/components/responses/Problem"}
        return made


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


class Api:
    """A blueprint whose routes are described where they are written."""

    def __init__(self, name: str, import_name: str) -> None:
        self.blueprint = Blueprint(name, import_name)
        self.routes: list[Route] = []

    def get(self, rule: str, *described: Any, **more: Any) -> Callable[[F], F]:
        """Serve GET at a rule; the other arguments are those of `Route` after its path."""
        return self._route("get", rule, described, more)

    def post(self, rule: str, *described: Any, **more: Any) -> Callable[[F], F]:
        """Serve POST, as `get`."""
        return self._route("post", rule, described, more)

    def put(self, rule: str, *described: Any, **more: Any) -> Callable[[F], F]:
        """Serve PUT, as `get`."""
        return self._route("put", rule, described, more)

    def patch(self, rule: str, *described: Any, **more: Any) -> Callable[[F], F]:
        """Serve PATCH, as `get`."""
        return self._route("patch", rule, described, more)

    def delete(self, rule: str, *described: Any, **more: Any) -> Callable[[F], F]:
        """Serve DELETE, as `get`."""
        return self._route("delete", rule, described, more)

    def describe(self, described: Route) -> None:
        """Describe a route that another rule serves, such as the HEAD of a GET."""
        self.routes.append(described)

    def _route(self, method: str, rule: str, described: tuple[Any, ...], more: dict[str, Any]) -> Callable[[F], F]:
        self.describe(Route(method, template(rule), *described, **more))
        return self.blueprint.route(rule, methods=[method.upper()])
