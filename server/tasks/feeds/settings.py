"""The settings of feeds."""

from urllib.parse import urlsplit

from pydantic import Field, field_validator

from server.settings import TaskSettings


class FeedSettings(TaskSettings):
    """The database that feeds are stored in."""

    database_url: str = Field(
        "",
        description="Database for `fetch_feed`: `postgresql://…`. If empty, SQLite under `var/`, for a single machine.",
        repr=False,
    )

    @field_validator("database_url")
    @classmethod
    def _database_scheme(cls, value: str) -> str:
        if value and urlsplit(value).scheme not in ("postgresql", "postgres", "postgresql+psycopg", "sqlite"):
            raise ValueError("must be postgresql://user:password@host/name or sqlite:///file")
        return value.replace("postgres://", "postgresql://", 1) if value.startswith("postgres://") else value
