"""Hooks for schemathesis: keep its tasks short, and explain failures that are not errors."""

from collections.abc import Mapping
from typing import Any

import schemathesis
from schemathesis import Case, HookContext, Response
from schemathesis.core.failures import AcceptedNegativeData, Failure
from schemathesis.openapi.checks import AllowHeaderMismatch, RejectedPositiveData, UnsupportedMethodResponse

from server.sdk.signature import RESERVED

#: Requests that are valid by the document but refused: a part of the answer, and the reason the document cannot tell.
EXPLAINED: Mapping[str, str] = {
    "Put parameters into the body.": "OpenAPI cannot say that the query's parameters stand in for the body.",
    "Given more than once": "OpenAPI cannot say that a parameter stands in the query or in the form, not in both.",
    "Invalid value for operations.0": "The same, for a parameter that is a list: what stands in both is one list.",
    "Field required": "Nor that a parameter is needed in the query where the body is a file.",
    "Input should be a valid dictionary": "A form's field holds JSON as text; schemathesis makes up any text.",
    "Input should be valid JSON": "The same.",
    "Invalid value for cursor.": "A cursor is opaque: it comes from the page before, and any other text is refused.",
    "A filter is needed": "OpenAPI cannot say that one parameter of several is needed.",
    "This task does not exist": "An upload may be a file of an earlier task, and a made-up id names none.",
    "The body is empty.": "OpenAPI 3.1 gives raw bytes no schema, so it cannot say that there are some.",
    "should have a media type": "The syntax of a media type is not written down a second time, as a pattern.",
    "is not a valid media type.": "`text/*` is a range of media types to OpenAPI, and sent as if it were one.",
    '"loc":["query","webhook"]': "Whether a URL can be called depends on more than its syntax.",
    "A URL must": "The same, for a file or a feed at a URL: begin with http, or hold no password.",
    "The URL": "The same: has no host, or no public address.",
    "This is not a URL.": "The same.",
    '"loc":["query","cancel_after"]': "The header's pattern has the form of a duration; a bound in seconds has none.",
    '"loc":["query","debounce"]': "Which options go together is said in words.",
    '"loc":["query","max_delay"]': "The same.",
    "unique_for and on_conflict need it": "The same.",
    "should be a color": "A colour has more forms than a pattern says.",
    "Give one character": "A pattern does not tell which characters can be printed.",
    "should be an opaque color": "The same.",
    "should be within 366 days": "JSON Schema has no bounds for a time.",
    '"loc":[],"msg"': "Which parameters go together is said in words: the `check` of a task.",
    "Input should have either every or cron": "The same, for the timing of a schedule.",
    "is not supported. Supported:": "What a file is, its first bytes tell.",
    "This is not an e-mail address": "Which addresses are valid depends on more than a pattern says.",
    "/problems/idempotency-key-reused": "The document's example of a key is sent with every request.",
    "An Idempotency-Key must have": "Its quotes and the space around it are not part of it.",
    "A task type only supports POST": "It uses the `name` in the catalog as the `task_id` of a status.",
}


#: Bodies with a task's parameters: OpenAPI cannot express that the query then has none.
_WITH_PARAMETERS = ("application/json", "multipart/form-data", "application/x-www-form-urlencoded")

#: Media types that schemathesis cannot generate: any bytes are fine.
_BYTES = ["application/csv", "application/gzip", "application/x-gzip"]
_BYTES += ["image/apng", "image/avif", "image/bmp", "image/tiff", "image/x-ms-bmp"]
schemathesis.serializer.alias(_BYTES, "application/octet-stream")


@schemathesis.hook
def before_call(context: HookContext, case: Case, kwargs: dict[str, Any]) -> None:
    """Limit waits to a second, cancel sleeping tasks after two, and send parameters once."""
    if str(case.query.get("wait", "")).isdecimal():
        case.query["wait"] = 1
    if case.operation.label == "POST /tasks/long_running_task":
        case.query.setdefault("cancel_after", 2)
    if case.operation.label.startswith("POST /tasks/") and case.media_type in _WITH_PARAMETERS:
        for name in set(case.query) - RESERVED:
            if case.meta and case.meta.generation.mode.is_positive:
                del case.query[name]


@schemathesis.hook
def filter_failure(context: HookContext, failure: Failure, case: Case, response: Response) -> bool:
    """Whether a failure is an error: False for those that are explained here."""
    if case.operation.label == "POST /batches" and isinstance(failure, AcceptedNegativeData):
        return False  # a batch accepts its valid items, and reports an error for each other one
    if isinstance(failure, AcceptedNegativeData) and response.status_code == 414:
        return False  # it was rejected before it was validated: the request line is too long
    if case.operation.label == "GET /health/ready" and response.status_code == 503:
        return False  # no worker reads a queue with a made-up name
    if isinstance(failure, UnsupportedMethodResponse | AllowHeaderMismatch):
        # /tasks/count and /tasks/query are also the addresses of a task type and of an id: /tasks/{name} describes the
        # other methods. OpenAPI 3.1 has no name for the method QUERY.
        return case.operation.path not in ("/tasks", "/tasks/count", "/tasks/query")
    if not isinstance(failure, RejectedPositiveData):
        return True
    if response.status_code == 410:
        return False  # a link to something deleted meanwhile; schemathesis expects a 404
    if case.operation.label == "POST /tasks/{task_id}/retry" and response.status_code == 422:
        return False  # which input fits depends on the type of the task
    if case.operation.label in ("PUT /schedules/{name}", "PATCH /schedules/{name}") and response.status_code == 422:
        return False  # which input, cron line and zone fit depends on the task types and on the tz database
    return not any(text in response.text for text in EXPLAINED)
