"""`@task`: a typed function becomes a task type, with an endpoint, validation and a schema."""

from collections.abc import Callable, Iterable
from functools import partial
from inspect import getdoc
from typing import Any, TypedDict, TypeVar, Unpack, overload

from server.sdk import signature
from server.sdk.definition import Retries, TaskDefinition, TimeLimits
from server.sdk.errors import UnknownTaskType
from server.sdk.redaction import BY_NAME, Secrets
from server.store.leases import Throttle

__all__ = ["add", "catalog", "definition", "is_registered", "task"]

F = TypeVar("F", bound=Callable[..., Any])

_definitions: dict[str, TaskDefinition] = {}


class TaskOptions(TypedDict, total=False):
    """The options of `@task`, which describes them."""

    name: str | None
    summary: str | None
    soft_time_limit: float
    time_limit: float
    retries: int
    retry_on: tuple[type[Exception], ...]
    retry_backoff: float
    queue: str
    priority: str
    max_upload_bytes: int | None
    accepts: tuple[str, ...]
    recognizes: Callable[[bytes], bool] | None
    check: Callable[..., object] | None
    max_running: int
    per_minute: int
    limit_per_owner: bool
    limit_by: str
    unique: tuple[str, ...]
    ttl: int | None
    input_ttl: int | None


@overload
def task(function: F, /) -> F: ...


@overload
def task(**options: Unpack[TaskOptions]) -> Callable[[F], F]: ...


def task(function: Any = None, /, **options: Any) -> Any:
    """Register a typed function as a task type: `@task`, or `@task(…)` with options. The function is not changed.

    Args:
        name: the name of the task type in the API; by default the function's name.
        summary: one line for the catalog; by default the first line of the docstring.
        soft_time_limit: seconds after which the function is interrupted; by default 300.
        time_limit: seconds after which its process is killed, for code that cannot be interrupted; by default 330.
        retries: how often the function is retried after an exception in `retry_on`.
        retry_backoff: seconds before the first retry, by default 1; doubled each time, with jitter.
        queue: the queue in which its tasks wait; by default `default`.
        priority: `high`, `normal` or `low`, for submits that do not name one.
        max_upload_bytes: the limit of one file; `MAX_UPLOAD_BYTES` limits the whole request.
        accepts: media types of its uploads, such as `image/png` or `text/*`; empty accepts any type.
        recognizes: called with an upload's first bytes where its declared type is not among `accepts`; true accepts
            the upload. Clients often declare a wrong type.
        check: called with the function's parameters (without its context) before a request is stored. The message
            of its ValueError is sent to the client.
        max_running: how many may run at the same time, over all workers; 0 means no limit.
        per_minute: how many may start in any minute, over all workers; 0 means no limit.
        limit_per_owner: whether these two limits apply to each owner.
        limit_by: a parameter: the two limits apply to the tasks with each of its values; with `limit_per_owner`, to
            those of each owner.
        unique: parameters whose values only one unfinished task of an owner has: a second submit gets that task.
        ttl: seconds that its records and files are kept after the end, for submits that do not name a `ttl`; by
            default `RESULT_TTL_SECONDS`.
        input_ttl: seconds after the end until the input and its uploads are deleted; by default with the record.

    Raises:
        TypeError: the signature has an unsupported parameter; the message names it.
        ValueError: a name is in use or not valid, or an option is not valid.
    """
    return partial(_register, options) if function is None else _register(options, function)


def _register(options: dict[str, Any], function: F) -> F:
    if unknown := sorted(options.keys() - TaskOptions.__optional_keys__):
        raise TypeError(f"@task has no option {', '.join(unknown)}")
    get, text = options.get, getdoc(function) or ""
    add(
        TaskDefinition(
            name=get("name") or str(getattr(function, "__name__", "")),
            function=function,
            signature=signature.read(function, get("check")),
            summary=get("summary") or text.partition("\n")[0],
            description=text,
            limits=TimeLimits(get("soft_time_limit", 300), get("time_limit", 330)),
            retries=Retries(get("retries", 0), get("retry_on", (Exception,)), get("retry_backoff", 1.0)),
            queue=get("queue", "default"),
            priority=get("priority", "normal"),
            accepts=get("accepts", ()),
            recognizes=get("recognizes"),
            max_upload_bytes=get("max_upload_bytes"),
            throttle=Throttle(
                get("max_running", 0), get("per_minute", 0), get("limit_per_owner", False), get("limit_by", "")
            ),
            unique=get("unique", ()),
            ttl=get("ttl"),
            input_ttl=get("input_ttl"),
        )
    )
    return function


def add(new: TaskDefinition) -> None:
    """Register a task type.

    Raises:
        ValueError: its name is in use.
    """
    if new.name in _definitions:
        module = _definitions[new.name].function.__module__
        raise ValueError(f"{new.name}: a task with this name already exists, in {module}")
    _definitions[new.name] = new


def catalog() -> Iterable[TaskDefinition]:
    """All task types, sorted by name."""
    return [_definitions[name] for name in sorted(_definitions)]


def queue_names() -> set[str]:
    return {each.queue for each in catalog()}


def is_registered(name: str) -> bool:
    return name in _definitions


def definition(name: str) -> TaskDefinition:
    """Find the definition of a task type, or raise UnknownTaskType with the known names."""
    try:
        return _definitions[name]
    except KeyError:
        names = ", ".join(sorted(_definitions))
        raise UnknownTaskType(f"There is no task type {name[:64]!r}. Known: {names}.") from None


def secrets_of(name: str) -> Secrets:
    """Return the secrets of a task type's inputs; of one that is not registered any more, those by name."""
    return _definitions[name].secrets if name in _definitions else BY_NAME
