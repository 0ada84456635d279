"""Options of a submit, from its query and headers. They are separate from the task's parameters."""

import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from flask import request
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from server.sdk.http import FetchError
from server.services.options import Options
from server.services.webhooks import check_webhook_url
from server.store.api_keys import Caller
from server.store.submit import IdempotencyKey
from server.web.current import store
from server.web.errors import Problem

#: Maximum delay of a task, and maximum time to keep its record, in seconds.
FARTHEST = 366 * 86_400

#: The options that an item of a batch, or a schedule, may have in its JSON body.
NESTED = ("delay", "not_before", "priority", "tag", "ttl", "cancel_after", "webhook")

_DATE = re.compile(r"\d{4}-\d\d-\d\d[Tt ]")
_DURATION = re.compile(r"(\d{1,9})([smh]?)")
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}


class OptionsIn(BaseModel):
    """The reserved names in a submit's query."""

    model_config = ConfigDict(extra="ignore")

    delay: Annotated[float, Field(ge=0, le=FARTHEST, allow_inf_nan=False)] = 0.0
    not_before: datetime | None = None
    priority: Literal["low", "normal", "high"] = "normal"
    tag: list[Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[\w.:@/+-]+$")]] = Field([], max_length=10)
    ttl: Annotated[int, Field(ge=1, le=FARTHEST)] | None = None
    cancel_after: Annotated[float, Field(gt=0, le=FARTHEST, allow_inf_nan=False)] | None = None
    webhook: str | None = None

    @field_validator("not_before", mode="before")
    @classmethod
    def _is_rfc_3339(cls, value: Any) -> Any:
        if value is not None and not (isinstance(value, str) and _DATE.match(value)):
            raise ValueError("should be a time in RFC 3339 format, such as 2026-01-01T00:00:00Z")
        return value

    @field_validator("not_before")
    @classmethod
    def _comes(cls, value: datetime | None) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError("should have a time zone, such as 2026-01-01T00:00:00Z")
        if value is not None and value - datetime.now(UTC) > timedelta(seconds=FARTHEST):
            raise ValueError("should be within 366 days")
        return value

    @field_validator("webhook")
    @classmethod
    def _can_be_called(cls, value: str | None, info: ValidationInfo) -> str | None:
        try:
            return value and check_webhook_url(value, allow_private=bool(info.context))
        except FetchError as error:
            raise ValueError(str(error)) from None


def read_options() -> Options:
    """Read the options of this request.

    Raises:
        Problem: `invalid-input` that names the option.
    """
    if not request.environ.get("QUERY_STRING") and "HTTP_CANCEL_AFTER" not in request.environ:
        return Options()
    given: dict[str, Any] = {name: request.args[name] for name in request.args if name != "tag"}
    given["tag"] = request.args.getlist("tag")
    if "Cancel-After" in request.headers:
        given = {"cancel_after": _duration(request.headers["Cancel-After"])} | given
    return parse_options(given, "query")


def parse_options(given: Mapping[str, Any], place: str) -> Options:
    """Parse options; `place` is the location that a problem names.

    Raises:
        Problem: `invalid-input`.
    """
    try:
        read = OptionsIn.model_validate(given, context=store().settings.allow_private_addresses)
    except ValidationError as error:
        errors = [
            {"loc": [place, *item["loc"]], "msg": item["msg"].removeprefix("Value error, ")}
            for item in error.errors(include_url=False, include_input=False, include_context=False)
        ]
        names = ", ".join(sorted({str(item["loc"][1]) for item in errors}))
        raise Problem("invalid-input", f"Invalid value for {names}.", errors=errors) from None
    return Options(
        delay=read.delay,
        not_before_ms=max(0, int(read.not_before.timestamp() * 1000)) if read.not_before else 0,
        priority=read.priority,
        tags=tuple(dict.fromkeys(read.tag)),
        ttl=read.ttl,
        cancel_after=read.cancel_after or 0.0,
        webhook=read.webhook or "",
    )


def nested_options(given: Mapping[str, Any], names: Collection[str]) -> Options:
    """Parse options inside a JSON body, where only these names are accepted.

    Raises:
        Problem: `invalid-input`.
    """
    if unknown := sorted(set(given) - set(names)):
        errors = [{"loc": ["options", name], "msg": f"Input should be one of {', '.join(names)}"} for name in unknown]
        raise Problem("invalid-input", f"Unknown options: {', '.join(unknown)}.", errors=errors)
    tags = given.get("tag", [])
    return parse_options({**given, "tag": [tags] if isinstance(tags, str) else tags}, "options")


def _duration(text: str) -> str:
    """Convert `90`, `90s`, `5m` or `1h` to seconds.

    Raises:
        Problem: `invalid-input` for any other text.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        errors = [{"loc": ["header", "Cancel-After"], "msg": "Input should be 90, 90s, 5m or 1h"}]
        raise Problem("invalid-input", "Invalid value for Cancel-After.", errors=errors)
    return str(int(match[1]) * _SECONDS[match[2]])


def read_key(who: Caller) -> IdempotencyKey | None:
    """Read the request's idempotency key, without the quotes of a structured header.

    Raises:
        Problem: `bad-request` for a key that is empty or too long.
    """
    if "Idempotency-Key" not in request.headers:
        return None
    text = request.headers["Idempotency-Key"].strip()
    if len(text) >= 2 and text[0] == text[-1] == '"':
        text = text[1:-1]
    if not 1 <= len(text) <= 255:
        raise Problem("bad-request", "An Idempotency-Key must have 1 to 255 characters.")
    return IdempotencyKey(who.owner, text)
