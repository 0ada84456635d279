"""Every environment variable, typed. No other module reads `os.environ`."""

import ipaddress
import re
from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import SplitResult, urlsplit

from pydantic import BeforeValidator, Field, PrivateAttr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

MIB = 2**20
MAX_DURATION_SECONDS = 366 * 86_400  # seconds: the longest delay, wait, and life of a record

#: A prefix below which a proxy serves the application: text that needs no encoding in a URL.
PREFIX = r"(/[A-Za-z0-9_.~-]+)+"

_PUBLIC_URL = re.compile(rf"(https?)://([A-Za-z0-9.-]+(?::[0-9]{{1,5}})?)({PREFIX})?/?")

#: Options of a Redis URL that redis-py and kombu both know, and their names in a message.
_TLS_OPTIONS = re.compile(r"(&?(ssl_cert_reqs=(none|optional|required)|ssl_(ca_certs|certfile|keyfile)=[^&]+))+")
_TLS_TEXT = "only ssl_cert_reqs (none, optional, required), ssl_ca_certs, ssl_certfile, ssl_keyfile"

#: File in which `make run` stores the address of its Valkey, so that a second shell finds it.
EMBEDDED_URL_FILE = Path("var/redis-url")

_BLOB_URL = re.compile(r"redis:|file:(///|/(?!/))[^?#]*|s3://[^/@?#]+(/[^?#]*)?")
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#@\s]+")
_ADMIN_KEY = re.compile(r"[!-~][ -~]{18,}[!-~]")

#: The forms of values, and the message for another one. It does not repeat the value, which may be a secret.
_FORMS = {
    "public_url": (_PUBLIC_URL, "must be http:// or https://, a host and at most a path, as https://example.org/jobs"),
    "cors_origins": (_ORIGIN, "must be origins, without a path, as https://example.org"),
    "admin_key": (_ADMIN_KEY, "must have at least 20 characters, all of them ASCII, without a space at an end"),
    "celery_broker_url": (re.compile("amqps?://.*"), "must begin with amqp:// or amqps://, or be empty to use Redis"),
    "blob_url": (_BLOB_URL, "must be empty, redis:, file:///folder or s3://bucket/prefix"),
}


class SettingsError(Exception):
    """A setting is missing or invalid; the message names it and the valid values."""


def embedded_url() -> str:
    """Return the address of the Valkey of `make run`, or of its last one; empty without one."""
    return EMBEDDED_URL_FILE.read_text().strip() if EMBEDDED_URL_FILE.is_file() else ""


def _embedded_files(redis_url: str) -> str:
    """A folder next to the Valkey of `make run`: one machine needs no copy of its files in Redis's memory."""
    if redis_url and redis_url == embedded_url():
        return (EMBEDDED_URL_FILE.parent / "files").absolute().as_uri()
    return ""


def _bytes_per_owner(blob_url: str) -> int:
    """Files outside of Redis need no memory of Redis, so an owner may have more of them."""
    return 512 * MIB if blob_url in ("", "redis:") else 10 * 1024 * MIB


def _split(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


#: The values of a variable with a list, and the types of lists.
COMMA_SEPARATED = (NoDecode, BeforeValidator(_split))
Names = Annotated[tuple[str, ...], *COMMA_SEPARATED]


def split_url(value: str, form: str) -> SplitResult:
    """Split a URL, or raise ValueError with its form: urllib's message may quote a part of an unescaped password."""
    with suppress(ValueError):
        if (parts := urlsplit(value)).port != 0:  # parsed only now
            return parts
    raise ValueError(f"must have the form {form}")


class TaskSettings(BaseSettings):
    """Settings of some tasks: their package declares a subclass, and reads it with `ctx.settings.part`.

    All known subclasses are read when the tasks are loaded, so that an invalid value stops the process.
    """

    model_config = SettingsConfigDict(extra="ignore", frozen=True)


Part = TypeVar("Part", bound=TaskSettings)


class Settings(BaseSettings):
    """The settings, named after their environment variables in lower case."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True)

    # The web server
    host: str = Field("0.0.0.0", description="Address to listen on. Addresses other than loopback require an API key.")  # noqa: S104
    port: int = Field(8000, ge=1, le=65535, description="Port to listen on.")
    web_concurrency: int = Field(2, ge=1, le=64, description="Number of web processes.")
    web_threads: int = Field(8, ge=1, le=256, description="Requests that one web process handles at the same time.")
    max_waiters: int = Field(
        1000,
        ge=0,
        le=20_000,
        description="Clients that may wait or read events at the same time. Further ones get an immediate answer.",
    )
    cors_origins: Names = Field((), description="Origins whose pages may call the API (CORS), separated by commas.")
    auth_proxy_header: str = Field(
        "", description="Header with the user's name that a trusted proxy sets, such as `X-Forwarded-User`."
    )
    auth_proxy_addresses: Names = Field(
        (),
        description="Addresses and networks of proxies whose header is trusted, separated by commas. If empty, "
        "loopback.",
    )
    auth_proxy_admins: Names = Field(
        (), description="Users of the proxy who are admins, separated by commas. Others may submit."
    )
    public_url: str = Field(
        "",
        description="Address of this server as clients see it, such as `https://example.org/jobs`. If empty, that of "
        "each request.",
    )
    trusted_proxies: Names = Field(
        (),
        description="Addresses and networks of proxies whose `X-Forwarded-Prefix`, `-Host` and `-Proto` are trusted, "
        "separated by commas; `*` for all.",
    )
    admin_key: str = Field(
        "", description="An admin's API key from the first start on, of at least 20 characters.", repr=False
    )
    secret_key: str = Field(
        "", description="Signs task ids and sessions. If empty, one is generated and stored in Redis.", repr=False
    )

    # Redis and the broker
    redis_url: str = Field(
        default_factory=embedded_url,
        description="Redis: `redis://`, `rediss://` or `sentinel://`. If empty, the Valkey that `make run` starts.",
        repr=False,
    )
    key_prefix: str = Field(
        "coatcheck:",
        pattern=r"^[A-Za-z0-9_.:-]{0,64}$",
        description="Prefix of all keys in Redis but those of Celery's queues. Each Coatcheck needs its own database.",
    )
    redis_tls_verify: bool = Field(True, description="Verify the certificate of a `rediss://` server.")
    max_redis_connections: int = Field(
        10, ge=4, le=10_000, description="Connections to Redis of one web server, shared by its processes."
    )
    celery_broker_url: str = Field(
        "", description="RabbitMQ as message broker: `amqp://…`. If empty, Redis is the broker.", repr=False
    )
    celery_events: bool = Field(
        False, description="Send Celery's events of tasks and workers, for celery-exporter and other listeners."
    )
    blob_url: str = Field(
        default_factory=lambda others: _embedded_files(others.get("redis_url", "")),
        description="Storage for files: `file:///folder`, `s3://bucket/prefix` or `redis:`. If empty, files are stored "
        "in Redis, with the Valkey of `make run` in `var/files`.",
        repr=False,
    )

    # The worker
    worker_concurrency: int = Field(2, ge=1, le=64, description="Tasks that one worker runs at the same time.")
    worker_memory_limit: int = Field(
        512 * MIB, ge=64 * MIB, description="Bytes of memory that one task may use in addition to the idle process."
    )
    task_modules: Names = Field((), description="Python modules with your own tasks, separated by commas.")
    reload: bool = Field(
        True, description="Restart web and worker of `make run` and `coatcheck run` when a task module changes."
    )
    unknown_type_seconds: int = Field(
        86_400, ge=0, description="Seconds after which a task fails whose type no worker knows."
    )
    lease_seconds: int = Field(
        30, ge=3, le=3600, description="Seconds without a heartbeat before a worker's tasks are rerun."
    )
    soft_shutdown_seconds: int = Field(
        15, ge=0, le=600, description="Seconds that a stopping worker gives its tasks to finish."
    )
    cancel_grace_seconds: int = Field(
        10, ge=1, le=600, description="Seconds before a canceled task that does not stop is killed."
    )

    # Calls to other servers: webhooks, uploads by URL, feeds
    allow_private_addresses: bool = Field(
        False,
        description="Allow webhooks, uploads by URL and feeds to reach private addresses, and webhooks to use http.",
    )

    # Limits
    max_upload_bytes: int = Field(50 * MIB, ge=1, description="Maximum size of a request body, in bytes.")
    max_waiting_per_owner: int = Field(
        10_000, ge=1, description="Maximum number of unfinished tasks per owner. Further submits get a 429."
    )
    max_bytes_per_owner: int = Field(
        default_factory=lambda others: _bytes_per_owner(others.get("blob_url", "")),
        ge=1,
        description="Maximum bytes of an owner's inputs, uploads and outputs together. Further submits get a 429. If "
        "not set, 512 MiB, with files outside of Redis 10 GiB.",
    )
    max_schedules_per_owner: int = Field(
        100, ge=1, description="Maximum number of schedules per owner. An admin has no limit."
    )
    max_waiting_per_queue: int = Field(
        100_000, ge=1, description="Maximum number of waiting tasks per queue. Further submits get a 503."
    )
    max_blob_bytes: int = Field(
        512 * MIB, ge=MIB, description="Maximum size of all files in Redis, in bytes. Further uploads get a 503."
    )
    storage_wait_seconds: int = Field(
        60, ge=0, description="Seconds that a task waits to save a file when the storage is full, before it fails."
    )
    result_ttl_seconds: int = Field(
        86_400, ge=1, le=MAX_DURATION_SECONDS, description="Seconds that a finished task and its files are kept."
    )

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Minimum log level.")
    log_format: Literal["text", "json"] = Field("text", description="`json` writes one JSON object per log line.")

    @field_validator(*_FORMS)
    @classmethod
    def _has_form(cls, value: Any, info: ValidationInfo) -> Any:
        form, message = _FORMS[str(info.field_name)]
        for each in (value,) if isinstance(value, str) else value:
            if each and not form.fullmatch(each):
                raise ValueError(message)
        return value

    @field_validator("trusted_proxies", "auth_proxy_addresses")
    @classmethod
    def _are_networks(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        may_be_all = info.field_name == "trusted_proxies"
        for each in value:
            try:
                if each != "*" or not may_be_all:
                    ipaddress.ip_network(each, strict=False)
            except ValueError:
                others = ", or *" if may_be_all else ""
                raise ValueError(f"{each!r} is not an address or a network such as 10.0.0.0/8{others}") from None
        return value

    @field_validator("redis_url")
    @classmethod
    def _redis_scheme(cls, value: str) -> str:
        if not value:
            raise ValueError("is not set. Start with `make run`, or set it to redis://host:port/0")
        for each in value.split(";") if value.startswith("sentinel:") else [value]:
            part = split_url(each, "redis://user:password@host:port/0")
            if part.scheme not in ("redis", "rediss", "sentinel"):
                raise ValueError("must begin with redis://, rediss:// or sentinel://")
            if part.scheme != "sentinel" and not re.fullmatch(r"[/\d]*", part.path):
                raise ValueError("must end with the number of a database, as redis://host:port/0")
            if part.query and not (part.scheme == "rediss" and _TLS_OPTIONS.fullmatch(part.query)):
                raise ValueError(f"may have {_TLS_TEXT} after `?`, and only with rediss://")
        return value

    @field_validator("blob_url")
    @classmethod
    def _can_be_stored(cls, value: str) -> str:
        if value.startswith("s3:") and not find_spec("obstore"):
            raise ValueError("needs the package obstore for s3://: pip install 'coatcheck[s3]'")
        return value

    _parts: dict[type[TaskSettings], TaskSettings] = PrivateAttr(default_factory=dict)

    def part(self, settings_type: type[Part]) -> Part:
        """Return some tasks' settings, read from the environment once. Raises SettingsError as `load` does."""
        if settings_type not in self._parts:
            self._parts[settings_type] = _read(settings_type)
        part = self._parts[settings_type]
        assert isinstance(part, settings_type)
        return part

    @property
    def public_address(self) -> tuple[str, str, str] | None:
        """Return scheme, host and prefix of PUBLIC_URL, or None."""
        match = _PUBLIC_URL.fullmatch(self.public_url)
        return (match[1], match[2], match[3] or "") if match else None

    @property
    def public_prefix(self) -> str:
        """The prefix of addresses that are sent outside a request."""
        return self.public_address[2] if self.public_address else ""

    @property
    def broker_is_redis(self) -> bool:
        return not self.celery_broker_url


def load() -> Settings:
    """Read the settings from the environment.

    Raises:
        SettingsError: one sentence per invalid variable, without any secret values.
    """
    return _read(Settings)


def from_mapping(config: Mapping[str, Any]) -> Settings:
    """As `load`, but an application's configuration, by names in upper case, precedes the environment."""
    return _read(Settings, {name.lower(): value for name, value in config.items()})


def load_parts(settings: Settings) -> None:
    """Read the settings of all tasks that are loaded. Raises SettingsError as `load` does."""
    for settings_type in TaskSettings.__subclasses__():
        settings.part(settings_type)


Read = TypeVar("Read", bound=BaseSettings)


def _read(settings_type: type[Read], values: Mapping[str, Any] = MappingProxyType({})) -> Read:
    try:
        return settings_type(**values)
    except ValidationError as error:
        # A default that is computed from an invalid setting is not invalid itself.
        invalid = [item for item in error.errors() if item["type"] != "default_factory_not_called"]
        raise SettingsError(
            "; ".join(f"{str(item['loc'][0]).upper()}: {item['msg'].removeprefix('Value error, ')}" for item in invalid)
        ) from None
