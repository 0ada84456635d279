"""Headers, links and problem responses, and the security schemes, to which routes refer by name."""

from typing import Any

from server.web.errors import Problem, registered
from server.web.openapi.components import Schema, named_references, one_of, reference
from server.web.openapi.parameters import TASK_ID
from server.web.sessions import COOKIE

_STRING: Schema = {"type": "string"}
_BASE = "https://jobs.example.org"  # the server in examples of header fields, which carry absolute URLs


def _headed(description: str, example: Any, schema: Schema = _STRING) -> dict[str, Any]:
    return {"description": description, "schema": schema, "example": example}


HEADERS: dict[str, Any] = {
    "X-Request-ID": _headed("The request's id, or a generated one.", "3f9d2c5a7b1e4d60"),
    "Location": _headed("The address of the result, or the target of a redirect.", f"{_BASE}/tasks/{TASK_ID}/result"),
    "Operation-Location": _headed("The address of the status, for azure-core's pollers.", f"{_BASE}/tasks/{TASK_ID}"),
    "Retry-After": _headed("Seconds until the next poll.", 1, {"type": "integer", "minimum": 1}),
    "ETag": _headed("The version of the answer.", '"5bb2c19d07ae4f38"'),
    "Cache-Control": _headed("How long the answer may be cached.", "private, no-cache"),
    "Vary": _headed("Request headers that the answer depends on.", "Accept"),
    "WWW-Authenticate": _headed("The required credentials (RFC 9110).", 'Bearer realm="coatcheck"'),
    "RateLimit": _headed("What is left: unfinished tasks, bytes, or wrong keys.", '"unfinished";r=9990'),
    "RateLimit-Policy": _headed("The limit that RateLimit counts down.", '"unfinished";q=10000'),
    "Preference-Applied": _headed("The wait that was granted (RFC 7240).", "wait=10"),
    "Idempotency-Replayed": _headed("`true` if the answer repeats the first one for this key.", "true"),
    "Task-Deduplicated": _headed("`true` if the answer is an earlier task with the same key.", "true"),
    "Link": _headed("The next page (RFC 8288).", f'<{_BASE}/tasks?cursor={TASK_ID}>; rel="next"'),
    "Accept-Ranges": _headed("Range requests are supported.", "bytes"),
    "Content-Range": _headed("The range of the bytes, and the total size.", "bytes 0-1023/5120"),
    "Content-Disposition": _headed("The name of the file.", "inline; filename*=UTF-8''thumbnail.webp"),
    "Content-Length": _headed("Bytes.", 5120, {"type": "integer"}),
}


def _link(operation_id: str, description: str, **parameters: str) -> dict[str, Any]:
    parameters = {"task_id": "$response.body#/task_id", **parameters}
    return {"operationId": operation_id, "parameters": parameters, "description": description}


LINKS: dict[str, Any] = {
    "status": _link("get_status", "The status of the task."),
    "result": _link("get_result", "The result, when the task has ended."),
    "cancel": _link("cancel_task", "Stop it."),
    "files": _link("get_file", "A file of the result; `name` is its name."),
    "file": _link("get_file", "The file, if the result is a single file.", name="$response.body#/result/name"),
    "batch": {
        "operationId": "get_batch",
        "parameters": {"batch_id": "$response.body#/batch_id"},
        "description": "The status of its tasks.",
    },
}

SECURITY_SCHEMES: dict[str, Any] = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "A key made by `make key`, with the role `submit` (its owner's tasks), `read`, `admin` or "
        "`metrics` (figures alone). "
        "A server without any key requires none, and answers on loopback addresses only.",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": COOKIE,
        "description": "The session of a browser that has signed in with a key at `/ui/sign-in`. Unsafe requests must "
        "come from a page of this server (`Origin` or `Sec-Fetch-Site`).",
    },
}

#: Headers of a problem response by its status, in addition to those of every response.
_PROBLEM_HEADERS: dict[int, tuple[str, ...]] = {
    401: ("WWW-Authenticate",),
    416: ("Content-Range",),
    429: ("Retry-After", "RateLimit", "RateLimit-Policy"),
    503: ("Retry-After",),
}

Group = tuple[str, ...]


def problem_name(group: Group) -> str:
    """The component name of a response with one of these problems."""
    return ".or.".join(group)


def problem_response(group: Group) -> dict[str, Any]:
    """Build the response with one of these problems, which share a status."""
    status = registered(group[0]).status
    types = [f"/problems/{name}" for name in group]
    narrowed = {"properties": {"type": {"enum": types}, "status": one_of(status)}}
    return {
        "description": " · ".join(f"`{name}`: {registered(name).title}. {registered(name).advice}" for name in group),
        "headers": named_references("headers", "X-Request-ID", *_PROBLEM_HEADERS.get(status, ())),
        "content": {
            "application/problem+json": {
                "schema": {"allOf": [reference("ProblemObject"), narrowed]},
                "examples": {
                    name: {"summary": registered(name).title, "value": Problem(name).body("")} for name in group
                },
            }
        },
    }


def any_problem() -> dict[str, Any]:
    """The response for every other error, such as 405 for an unsupported method."""
    return {
        "description": "Any other error, such as `method-not-allowed` (405, with `Allow`).",
        "headers": named_references("headers", "X-Request-ID"),
        "content": {"application/problem+json": {"schema": reference("ProblemObject")}},
    }
