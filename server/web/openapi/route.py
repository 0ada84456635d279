"""The description of a route, and its OpenAPI operation."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from server.web.errors import problem_types
from server.web.openapi import parts
from server.web.openapi.components import Schema


class Access(StrEnum):
    """The role that a route requires."""

    ANYONE = "anyone"
    KEY = "any key"
    SUBMIT = "a key with the role submit"
    ADMIN = "an admin's key"


_PROBLEMS_OF_ACCESS: Mapping[Access, tuple[str, ...]] = {
    Access.ANYONE: (),
    Access.KEY: ("unauthenticated", "unavailable"),
    Access.SUBMIT: ("unauthenticated", "forbidden", "unavailable"),
    Access.ADMIN: ("unauthenticated", "forbidden", "unavailable"),
}


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful answer. `headers` and `links` are names in `parts`; `media` maps media types to schemas."""

    status: int
    description: str
    media: Mapping[str, Schema] = field(default_factory=dict)
    headers: tuple[str, ...] = ()
    links: tuple[str, ...] = ()

    def response(self) -> dict[str, Any]:
        """The OpenAPI Response Object."""
        made: dict[str, Any] = {
            "description": self.description,
            "headers": parts.referred("headers", "X-Request-ID", *self.headers),
        }
        if self.media:
            # Bytes have no schema (OpenAPI 3.1.1, "Working with Binary Data").
            made["content"] = {name: {"schema": schema} if schema else {} for name, schema in self.media.items()}
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
    #: The part of a sample command after the address, for the docs page.
    sample: str = ""

    def problem_groups(self) -> list[parts.Group]:
        """The problems of the route, grouped by status."""
        groups: dict[int, list[str]] = {}
        for name in (*self.problems, *_PROBLEMS_OF_ACCESS[self.access], "internal-error"):
            names = groups.setdefault(problem_types()[name].status, [])
            if name not in names:
                names.append(name)
        return [tuple(groups[status]) for status in sorted(groups)]

    def operation(self) -> dict[str, Any]:
        """The OpenAPI Operation Object."""
        made: dict[str, Any] = {"operationId": self.operation_id, "tags": [self.tag], "summary": self.summary}
        if self.description:
            made["description"] = self.description
        if self.access is Access.ANYONE:
            made["security"] = []
        names = parts.referred("parameters", *self.parameters, "X-Request-ID")
        made["parameters"] = [*names.values(), *self.inline]
        if self.body is not None:
            made["requestBody"] = self.body
        made["responses"] = self._responses()
        return made

    def _responses(self) -> dict[str, Any]:
        made: dict[str, Any] = {str(answer.status): answer.response() for answer in self.answers}
        for group in self.problem_groups():
            made[str(problem_types()[group[0]].status)] = {
                "$ref": f"#/components/responses/{parts.problem_name(group)}"
            }
        made["default"] = {"$ref": "#/components/responses/Problem"}
        return made
