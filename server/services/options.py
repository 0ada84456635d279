"""Options that say how to run a task; they are not its parameters."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from server.sdk.errors import InvalidInput
from server.sdk.http import FetchError
from server.services.webhooks import check_webhook_url
from server.settings import MAX_DURATION_SECONDS
from server.store.record import DEBOUNCE, UNIQUE, unique_key

Seconds = Annotated[float, Field(gt=0, le=MAX_DURATION_SECONDS, allow_inf_nan=False)]
Key = Annotated[str, Field(min_length=1, max_length=255)]  # the key of `unique` or `debounce`
_DATE = re.compile(r"\d{4}-\d\d-\d\d[Tt ]")


@dataclass(frozen=True, slots=True)
class Options:
    """Options of a submit: `delay`, `ttl`, `cancel_after` and `start_within` in seconds, `not_before_ms` since 1970.

    Without a `priority` the task has that of its type.
    """

    delay: float = 0.0
    not_before_ms: int = 0
    priority: str = ""
    tags: tuple[str, ...] = ()
    ttl: int | None = None
    cancel_after: float = 0.0
    start_within: float = 0.0
    webhook: str = ""
    #: Keys in their stored form, see `server.store.record.unique_key`.
    unique: str = ""
    unique_for: float = 0.0
    on_conflict: str = ""
    debounce: str = ""
    max_delay: float = 0.0

    def identity(self) -> dict[str, Any]:
        """Return the options that are not the default, by name: equal in a release that has more options."""
        values = ((each.name, each.default, getattr(self, each.name)) for each in fields(self))
        return {name: value for name, default, value in values if value != default}


class OptionsIn(BaseModel):
    """The options of a submit, by their names in its query."""

    model_config = ConfigDict(extra="ignore")

    delay: Annotated[float, Field(ge=0, le=MAX_DURATION_SECONDS, allow_inf_nan=False)] = 0.0
    not_before: datetime | None = None
    priority: Literal["low", "normal", "high"] = "normal"
    tag: list[Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[\w.:@/+-]+$")]] = Field([], max_length=10)
    ttl: Annotated[int, Field(ge=1, le=MAX_DURATION_SECONDS)] | None = None
    cancel_after: Seconds | None = None
    start_within: Seconds | None = None
    webhook: str | None = None
    unique: Key | None = None
    unique_for: Seconds | None = None
    on_conflict: Literal["return", "reject", "replace"] | None = None
    debounce: Key | None = None
    max_delay: Seconds | None = None

    @field_validator("not_before", mode="before")
    @classmethod
    def _is_rfc_3339(cls, value: Any) -> Any:
        if value is None or isinstance(value, datetime) or (isinstance(value, str) and _DATE.match(value)):
            return value
        raise ValueError("should be a time in RFC 3339 format, such as 2026-01-01T00:00:00Z")

    @field_validator("tag", mode="before")
    @classmethod
    def _may_be_one(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("not_before")
    @classmethod
    def _comes(cls, value: datetime | None) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError("should have a time zone, such as 2026-01-01T00:00:00Z")
        if value is not None and value - datetime.now(UTC) > timedelta(seconds=MAX_DURATION_SECONDS):
            raise ValueError("should be within 366 days")
        return value

    @field_validator("debounce")
    @classmethod
    def _may_wait(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and not (info.data.get("delay") and info.data.get("not_before") is None):
            raise ValueError("needs a delay, without not_before")
        if value is not None and info.data.get("unique") is not None:
            raise ValueError("cannot be used together with unique")
        return value

    @field_validator("max_delay")
    @classmethod
    def _bounds(cls, value: float | None, info: ValidationInfo) -> float | None:
        if value is not None and (info.data.get("debounce") is None or value < info.data.get("delay", 0)):
            raise ValueError("needs debounce, and must not be below delay")
        return value

    @field_validator("webhook")
    @classmethod
    def _can_be_called(cls, value: str | None, info: ValidationInfo) -> str | None:
        try:
            return value and check_webhook_url(value, allow_private=bool(info.context))
        except FetchError as error:
            raise ValueError(str(error)) from None


def parse_options(values: Mapping[str, Any], location: str, *, allow_private: bool = False) -> Options:
    """Validate options, or raise InvalidInput; `location` is the first part of each `loc`."""
    try:
        parsed = OptionsIn.model_validate(values, context=allow_private)
    except ValidationError as error:
        errors = [
            {"loc": [location, *item["loc"]], "msg": item["msg"].removeprefix("Value error, ")}
            for item in error.errors(include_url=False, include_input=False, include_context=False)
        ]
        names = ", ".join(sorted({str(item["loc"][1]) for item in errors}))
        raise InvalidInput(f"Invalid value for {names}.", errors=errors) from None
    others = {"not_before", "priority", "tag", "unique", "debounce"}
    return Options(
        **parsed.model_dump(exclude_none=True, exclude=others),
        not_before_ms=max(0, int(parsed.not_before.timestamp() * 1000)) if parsed.not_before else 0,
        priority=parsed.priority if "priority" in parsed.model_fields_set else "",
        tags=tuple(dict.fromkeys(parsed.tag)),
        unique=unique_key(UNIQUE, parsed.unique.encode()) if parsed.unique else "",
        debounce=unique_key(DEBOUNCE, parsed.debounce.encode()) if parsed.debounce else "",
    )
