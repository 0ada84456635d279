"""The settings of feeds: the database, and secrets for header fields."""

import json
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic_settings import NoDecode

from server.settings import TaskSettings, split_url


class FeedSecret(BaseModel):
    """A secret for request headers. It is sent only to `host`; without `owners`, every owner may use it."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    host: str = Field(min_length=1)
    value: str = Field(min_length=1, pattern=r"^[\x20-\x7e]+$", repr=False)
    owners: tuple[str, ...] = ()


class FeedSettings(TaskSettings):
    """The database of feeds, and the secrets for their requests."""

    database_url: str = Field(
        "",
        description="Database for `fetch_feed`: `postgresql://…`. If empty, SQLite under `var/`, for a single machine.",
        repr=False,
    )

    feed_secrets: Annotated[dict[str, FeedSecret], NoDecode] = Field(
        default_factory=dict,
        description="Secrets for request headers of `fetch_feed`, as JSON: "
        '`{"github": {"host": "api.github.com", "value": "…"}}`.',
        repr=False,
    )

    @field_validator("feed_secrets", mode="before")
    @classmethod
    def _json(cls, value: object) -> object:
        try:
            return json.loads(value or "{}") if isinstance(value, str) else value
        except ValueError:
            raise ValueError('must be JSON such as {"github": {"host": "api.github.com", "value": "…"}}') from None

    @field_validator("database_url")
    @classmethod
    def _database_scheme(cls, value: str) -> str:
        form = "postgresql://user:password@host/name or sqlite:///file"
        if value and split_url(value, form).scheme not in ("postgresql", "postgres", "postgresql+psycopg", "sqlite"):
            raise ValueError(f"must be {form}")
        return value.replace("postgres://", "postgresql://", 1) if value.startswith("postgres://") else value
