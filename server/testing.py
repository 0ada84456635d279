"""Run a task in a test, without Redis, a web server or a worker.

from server.testing import run

def test_shout() -> None:
    done = run(shout, file=b"hello", times=2)
    assert done.files["loud.txt"] == b"HELLOHELLO"
"""

import hashlib
import inspect
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import pydantic_core

from server.sdk.context import Context
from server.sdk.definition import TaskDefinition, input_json
from server.sdk.errors import Canceled
from server.sdk.file_names import media_type_of
from server.sdk.output import OutputWriter
from server.sdk.registry import catalog
from server.sdk.steps import PREFIX
from server.sdk.uploads import Upload
from server.settings import Settings
from server.store import Store
from server.store.blobs import FolderBlobs
from server.store.tasks import Attempt

__all__ = ["Done", "run", "upload"]

_TASK_ID = "00000000-0000-7000-8000-000000000000"


@dataclass(slots=True)
class Done:
    """The outcome of a task that succeeded."""

    #: The result as a client reads it, decoded from JSON.
    result: Any = None
    #: The bytes of each saved file, by name.
    files: dict[str, bytes] = field(default_factory=dict)
    #: Every progress report: `done`, `total`, `percent` and `message`.
    progress: list[dict[str, Any]] = field(default_factory=list)
    #: The text of each `ctx.log`.
    logs: list[str] = field(default_factory=list)
    #: The items that it yielded or emitted, as a client reads them.
    output: list[Any] = field(default_factory=list)
    #: All checkpoints: those given to the task, and those that it saved.
    checkpoints: dict[str, str] = field(default_factory=dict)
    #: The value of each step, those given to the task too.
    steps: dict[str, Any] = field(default_factory=dict)
    #: The name of each task that it submitted, with parameters and options.
    submitted: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def submit(self, task: str, options: Mapping[str, Any], key: str) -> str:
        """Record a submit of the task, with parameters and options; return an id for it."""
        self.submitted.append((task, dict(options)))
        return f"{_TASK_ID[:-12]}{len(self.submitted):012x}"


def run(
    function: Callable[..., Any],
    /,
    *,
    owner: str = "test",
    retries: int = 0,
    checkpoints: Mapping[str, str] | None = None,
    steps: Mapping[str, Any] | None = None,
    canceled: bool = False,
    settings: Mapping[str, Any] | None = None,
    **parameters: Any,
) -> Done:
    """Call a function that `@task` has registered, with validated parameters and a context.

    For an upload give `bytes`, a `Path`, or an `upload(…)`. Limits of time, memory and number do not apply.

    Args:
        owner: the owner of the task.
        retries: how often the task has failed before.
        checkpoints: the checkpoints of an earlier attempt.
        steps: the values of the steps of an earlier attempt.
        canceled: whether a client has canceled the task, so that the next progress report raises `Canceled`.
        settings: the server's settings by name in lower case. Others are read from the environment.
        parameters: the input, as in a JSON body.

    Raises:
        ValueError: `@task` has not registered the function.
        InvalidInput: the parameters do not match the signature.
        TaskError: `invalid-result` or `result-too-large`, as in a worker.
        Exception: the function's own, such as `TaskError`, or `Canceled`.
    """
    definition = next((each for each in catalog() if each.function is function), None)
    if definition is None:
        raise ValueError(f"{function!r} is not a task: register it with @task")
    inputs = {name: _as_sent(name, value, name in definition.uploads) for name, value in parameters.items()}
    signature = definition.signature
    arguments = signature.arguments(definition.validate_fields(inputs, allow_private=True))
    done = Done(checkpoints=dict(checkpoints or {}), steps=dict(steps or {}))
    with tempfile.TemporaryDirectory() as folder:
        store = _Store(Path(folder), done, canceled, settings or {})
        attempt = Attempt(_TASK_ID, "test", definition.name, owner, b"", 1, retries, "")
        context = Context(cast(Store, store), attempt, done.submit)
        context.report_every = 0.0  # pass on every progress report
        context.output = _Output(partial(store.tasks.append_output, attempt.id, attempt.lease_token), 0)
        if signature.context:
            arguments[signature.context] = context
        with context.output:
            returned = _call(definition, arguments, context)
        done.files = {each["name"]: b"".join(store.blobs.read(each["key"])) for each in context.stored_files()}
    done.result = pydantic_core.from_json(definition.result_type.to_json(returned))
    return done


def _call(definition: TaskDefinition, arguments: Mapping[str, Any], context: Context) -> Any:
    """Call the function; an `async def` in a thread of its own, because the test may run in an event loop."""
    function = definition.function
    if not inspect.iscoroutinefunction(function) and not inspect.isasyncgenfunction(function):
        return definition.call(arguments, context.output.add)
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(definition.call, arguments, context.output.add).result()


def upload(data: bytes | Path, filename: str = "", media_type: str = "") -> Upload:
    """Make an upload from bytes or from a file."""
    if isinstance(data, Path):
        filename, data = filename or data.name, data.read_bytes()
    media_type = media_type or media_type_of(filename)
    return Upload("", filename, media_type, len(data), hashlib.sha256(data).hexdigest(), fetched=BytesIO(data))


def _as_sent(name: str, value: Any, is_upload: bool) -> Any:
    """Convert a value as HTTP would: uploads stay unchanged, everything else passes through JSON."""
    if not is_upload or value is None:
        return pydantic_core.from_json(input_json(value, [name]))
    if isinstance(value, list):
        return [_as_sent(name, each, True) for each in value]
    return upload(value) if isinstance(value, bytes | Path) else value


class _Output(OutputWriter):
    """An output that passes on every item immediately."""

    def add(self, item: bytes) -> None:
        if self._append(0, [item]) != "run":
            raise Canceled


class _Store:
    """The part of a `Store` that a context uses: files in a folder, everything else in memory."""

    def __init__(self, folder: Path, done: Done, canceled: bool, settings: Mapping[str, Any]) -> None:
        self.settings = Settings(**{"redis_url": "redis://none", **settings})
        self.blobs = FolderBlobs(str(folder))
        self.tasks = _Tasks(done, "stop" if canceled else "run")


class _Tasks:
    """The part of `server.store.tasks` that a context uses."""

    def __init__(self, done: Done, answer: str) -> None:
        self._done = done
        self._answer = answer

    def progress(self, task_id: str, lease_token: str, progress: dict[str, Any] | None, line: str) -> str:
        if progress:
            self._done.progress.append(progress)
        if line:
            self._done.logs.append(line)
        return self._answer

    def append_output(self, task_id: str, lease_token: str, first: int, items: Sequence[bytes]) -> str:
        self._done.output += map(pydantic_core.from_json, items)
        return self._answer

    def check_quota(self, owner: str, more: int) -> None:
        """Accept any number of bytes."""

    def save_checkpoint(self, task_id: str, lease_token: str, key: str, value: str) -> str:
        if key.startswith(PREFIX):
            self._done.steps[key.removeprefix(PREFIX)] = pydantic_core.from_json(value)
        else:
            self._done.checkpoints[key] = value
        return self._answer

    def checkpoints(self, task_id: str) -> dict[str, str]:
        steps = {PREFIX + name: pydantic_core.to_json(value).decode() for name, value in self._done.steps.items()}
        return {**self._done.checkpoints, **steps}
