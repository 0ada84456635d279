"""The object of an error. A route's own objects are in its module.

The status object and its parts are in `server.services.status`, because webhooks send it too.
"""

from pydantic import ConfigDict, Field

from server.services.status import Failure, WireObject


class FieldError(WireObject):
    """An invalid value in the input."""

    model_config = ConfigDict(extra="allow")

    loc: list[str | int] = Field(description="Its location: the parameter, then index or key.", examples=[["width"]])
    msg: str


def _no_failure() -> Failure:
    return Failure(type="", title="", detail="")


class ProblemObject(WireObject):
    """An error (RFC 9457). `type` is the address of a page that explains it."""

    model_config = ConfigDict(extra="allow")  # an answer that reports an error must not fail itself

    type: str = Field(json_schema_extra={"format": "uri-reference"}, examples=["/problems/invalid-input"])
    title: str
    status: int
    detail: str = Field(description="A description of this occurrence.")
    # With `default_factory` a field is optional without a default in the schema: it may be missing.
    errors: list[FieldError] = Field(default_factory=list, description="For `invalid-input`: each invalid value.")
    more_errors: int = Field(default_factory=int, description="How many more invalid values there are.")
    error: Failure = Field(
        default_factory=_no_failure,
        description="For `task-failed`, and a `task-canceled` that a limit has caused: the task's error.",
    )
    task_id: str = Field(default_factory=str, description="For problems of a task: its id.")
    limit: int = Field(default_factory=int, description="For `too-large`: the limit in bytes.")
    request_id: str = Field(default_factory=str, description="The `X-Request-ID`, which is also in the log.")
