"""Compares every answer of a server with its OpenAPI document: its status, its schema, and no additional fields.

Objects of the API may get more fields in a later release, so their schemas permit that. Here they do not: a field that
is sent but not described is an error of the document.
"""

import re
from functools import cached_property
from typing import Any

import httpx
import jsonschema_rs

JSON = ("application/json", "application/problem+json")


class OpenAPICheck:
    """The document of one server, requested at the first answer."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self._validators: dict[tuple[str, str, str], Any] = {}

    def check(self, response: httpx.Response) -> None:
        """Fail if a JSON answer differs from the document; an httpx hook."""
        request = response.request
        media_type = response.headers.get("Content-Type", "").partition(";")[0]
        operation = self._operation(request.url.path, request.method.lower())
        if operation is None or media_type not in JSON or response.status_code >= 500:
            return
        response.read()
        path, method = operation
        where = f"{request.method} {request.url.path}: {response.status_code}"
        validator = self._validator(path, method, str(response.status_code), media_type, where)
        errors = [f"{error.instance_path}: {error.message}" for error in validator.iter_errors(response.json())]
        assert not errors, (
            f"{where} is not as described: {errors[:3]} in {response.text[:500]}. A route's own problems are in its "
            "`problems`, those of all submits in `server/web/errors.py`."
        )

    @cached_property
    def _document(self) -> dict[str, Any]:
        document: dict[str, Any] = httpx.get(f"{self._base_url}/openapi.json", timeout=30).json()
        return document

    @cached_property
    def _paths(self) -> list[tuple[re.Pattern[str], str]]:
        """Return the paths, exact ones first: `/tasks/divide` also matches `/tasks/{task_id}`."""
        paths = sorted(self._document["paths"], key=lambda path: "{" in path)
        return [(re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path))), path) for path in paths]

    def _operation(self, path: str, method: str) -> tuple[str, str] | None:
        for pattern, template in self._paths:
            if pattern.fullmatch(path) and method in self._document["paths"][template]:
                return template, method
        return None

    def _validator(self, path: str, method: str, status: str, media_type: str, where: str) -> Any:
        key = (path, method, status)
        if key not in self._validators:
            responses = self._document["paths"][path][method]["responses"]
            assert status in responses or status >= "400", f"{where} is not described"
            response = self._resolved(responses.get(status, responses["default"]))
            content = response["content"]
            schema = content[media_type]["schema"] if media_type in content else {}  # a file of any type
            assert media_type in content or "*/*" in content, f"{where}: {media_type} is not described"
            components = {"schemas": {name: closed(each, inside=True) for name, each in self._schemas.items()}}
            self._validators[key] = jsonschema_rs.Draft202012Validator({**closed(schema), "components": components})
        return self._validators[key]

    @property
    def _schemas(self) -> dict[str, Any]:
        schemas: dict[str, Any] = self._document["components"]["schemas"]
        return schemas

    def _resolved(self, response: dict[str, Any]) -> dict[str, Any]:
        if "$ref" not in response:
            return response
        resolved: dict[str, Any] = self._document["components"]["responses"][response["$ref"].rpartition("/")[2]]
        return resolved


def closed(schema: Any, *, inside: bool = False) -> Any:
    """Return the schema without additional fields; `inside` an `allOf`, the whole is closed instead."""
    if isinstance(schema, list):
        return [closed(each, inside=inside) for each in schema]
    if not isinstance(schema, dict):
        return schema
    data = ("enum", "const", "default", "example", "examples")
    result = {
        key: value if key in data else closed(value, inside=key == "allOf")
        for key, value in schema.items()
        if not (key == "additionalProperties" and value is True and "properties" in schema)
    }
    if not inside and ("$ref" in schema or "allOf" in schema):
        result["unevaluatedProperties"] = False
    return result
