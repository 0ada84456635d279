"""Tasks for tests. Each start and end is written to a ledger, so that a test can count them.

The ledger is a Redis list of `<task id or word> <event> <time>` lines, written outside all records.
"""

import asyncio
import itertools
import logging
import os
import signal
import threading
import time
from enum import Enum
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

import billiard
from ledger_client import client
from pydantic import AfterValidator, BaseModel, Field, SecretStr

from server.sdk.context import Context, OutputFile, Upload
from server.sdk.errors import TaskError
from server.sdk.registry import task

LEDGER = "test:ledger"


def note(ctx: Context, word: str) -> None:
    """Write a line to the ledger, by the machine's clock (see `clocks`); retry during an outage."""
    line = f"{ctx.task_id} {word} {time.clock_gettime(time.CLOCK_REALTIME):.6f} {os.getpid()}"
    for _ in range(600):
        try:
            client().rpush(LEDGER, line)
        except Exception:
            time.sleep(0.1)
        else:
            return


@task()
def ledgered(ctx: Context, seconds: float = 0.0) -> float:
    """Write the start, sleep, write the end."""
    note(ctx, "start")
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(min(0.05, seconds))
    note(ctx, "end")
    return seconds


@task()
def beating(ctx: Context, seconds: float = 0.0) -> float:
    """Write a line continuously, so that the ledger shows when a killed attempt ended."""
    note(ctx, "start")
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(0.05)
        note(ctx, "beat")
    note(ctx, "end")
    return seconds


@task(unique=("user_id", "year"))
def report_of(ctx: Context, user_id: str, year: int = 2026, seconds: float = 0.0) -> int:
    """Sleep until it is canceled; one at a time for each user and year."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and not ctx.should_stop():
        time.sleep(0.05)
    return year


def _slowly(value: int) -> int:
    time.sleep(0.005)
    return value


@task()
def slow_to_validate(x: Annotated[int, AfterValidator(_slowly)]) -> int:
    """Take some time before it is stored: for what happens between two steps of a call for many."""
    return x


@task()
def nothing() -> None:
    """Increment one counter for all tasks."""
    client().incr("test:ended")


@task()
def returns_pid(ctx: Context, seconds: float = 0.0) -> int:
    """Sleep, and return the process that ran it."""
    note(ctx, "start")
    time.sleep(seconds)
    return os.getpid()


@task()
def reports(ctx: Context, seconds: float = 10.0) -> None:
    """Report progress continuously for some seconds."""
    note(ctx, "start")
    steps = max(1, int(seconds / 0.05))
    for step in range(steps):
        ctx.progress(step, steps)
        time.sleep(0.05)


@task()
def talks(ctx: Context, lines: int = 100) -> None:
    """Write log lines with pauses in between."""
    for number in range(1, lines + 1):
        ctx.log(f"line {number}")
        ctx.progress(number, lines)
        time.sleep(0.5)


@task()
def saves_late(ctx: Context, seconds: float = 1.0) -> OutputFile:
    """Save a file after some seconds."""
    time.sleep(seconds)
    return ctx.save("late.txt", b"late", "text/plain")


@task()
def saves(ctx: Context, size: int) -> OutputFile:
    """Save a file of a size."""
    note(ctx, "start")
    return ctx.save("zeros", bytes(size), "application/octet-stream")


@task(retries=2, retry_on=(OSError,), retry_backoff=0.1)
def fails_late(ctx: Context, seconds: float = 1.0) -> None:
    """Fail after some seconds, in the first attempt only."""
    if ctx.retries == 0:
        time.sleep(seconds)
        raise OSError("not yet")


@task(soft_time_limit=2, time_limit=30)
def just_in_time(ctx: Context) -> None:
    """End shortly before the soft limit."""
    time.sleep(1)


@task()
def kills_child(ctx: Context) -> None:
    """Kill the process that runs the task."""
    note(ctx, "start")
    os.kill(os.getpid(), signal.SIGKILL)


@task()
def kills_child_with_a_file(ctx: Context, file: Upload) -> None:
    """Kill the process while it has a temporary file."""
    with file.path() as path:
        note(ctx, "start" if path.exists() else "nothing")
        os.kill(os.getpid(), signal.SIGKILL)


@task()
def kills_worker(ctx: Context) -> None:
    """Kill the worker's main process."""
    note(ctx, "start")
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(60)


@task()
def eats_memory(ctx: Context) -> int:
    """Allocate more memory than a task may use."""
    note(ctx, "start")
    return len(bytearray(16 * 2**30))


@task(soft_time_limit=1, time_limit=2)
def blocks_in_c(ctx: Context) -> None:
    """Stay in C code that never returns to Python."""
    note(ctx, "start")
    sum(itertools.repeat(0, 10**13))


@task(soft_time_limit=1, time_limit=5)
def sleeps_too_long() -> None:
    """Sleep until the soft limit interrupts it."""
    time.sleep(30)


@task(retries=3, retry_on=(OSError,), retry_backoff=0.1)
def flaky(ctx: Context, failures: int) -> int:
    """Fail `fails` times, then succeed."""
    note(ctx, "start")
    if ctx.retries < failures:
        raise OSError("not yet")
    return ctx.retries


@task(retries=3, retry_on=(OSError,), retry_backoff=600)
def waits_for_a_partner(partner: str) -> None:
    """Fail, and try again much later."""
    raise ConnectionError(f"{partner} does not answer")


class Colour(Enum):
    """An enum."""

    RED = "red"
    BLUE = "blue"


class Item(BaseModel):
    """A model."""

    name: str
    price: Annotated[float, Field(gt=0)]


@task()
def typed(
    text: str,
    number: Annotated[int, Field(ge=1, le=10)] = 1,
    flag: bool = False,
    colour: Colour = Colour.RED,
    size: Literal["s", "m", "l"] = "m",
    items: list[Item] = [],  # noqa: B006 - pydantic copies it
    extra: dict[str, int] | None = None,
) -> dict[str, object]:
    """Return the parameters that were sent."""
    return {
        "text": text,
        "number": number,
        "flag": flag,
        "colour": colour.value,
        "size": size,
        "items": [item.model_dump() for item in items],
        "extra": extra,
    }


@task(accepts=("text/*",), max_upload_bytes=20 * 2**20)
def echo_file(ctx: Context, file: Upload, name: str = "copy.txt") -> OutputFile:
    """Save the upload as an output file."""
    with file.open() as source:
        return ctx.save(name, source, "text/plain")


@task(soft_time_limit=3, time_limit=6, max_upload_bytes=100_000)
def describe_file(ctx: Context, file: Upload, others: list[Upload] = []) -> dict[str, object]:  # noqa: B006
    """Describe a file, and read it in every possible way."""
    note(ctx, "start")
    with file.open() as first, file.path() as second:
        same = first.read() == second.read_bytes() == file.read()
    names = [other.filename for other in others]
    description = {"same": same, "text": file.read()[:20].decode(), "suffix": second.suffix, "others": names}
    return description | {
        "filename": file.filename,
        "media_type": file.media_type,
        "size": file.size,
        "sha256": file.sha256,
    }


@task()
def count_files(files: list[Upload]) -> list[int]:
    """Return the size of each upload."""
    return [file.size for file in files]


@task()
def fails_with_a_message(text: str) -> None:
    """Fail with a message of its own."""
    raise LookupError(f"no such order: {text}")


@task()
def misbehaves(how: str) -> object:
    """End in a way that a function should avoid."""
    if how == "exit":
        raise SystemExit(3)
    if how == "set":
        return object()
    if how == "path":
        raise ValueError("cannot open /srv/secret/file.txt at redis://user:pw@host:6379")
    if how == "large":
        return "x" * 5_000_000
    if how == "digits":
        return 10**5000
    return float("nan")


@task(max_running=1)
def one_at_a_time(ctx: Context, seconds: float = 0.2) -> None:
    """Run alone: one at a time for this task type. A long one stops at a cancel."""
    note(ctx, "start")
    until = time.monotonic() + seconds
    time.sleep(min(seconds, 1))
    while time.monotonic() < until:
        ctx.progress(0, 1)
        time.sleep(0.05)
    note(ctx, "end")


@task(max_running=1, limit_per_owner=True)
def one_per_owner(ctx: Context, seconds: float = 0.2) -> None:
    """Run alone for each owner."""
    note(ctx, "start")
    time.sleep(seconds)
    note(ctx, "end")


@task(max_running=1, limit_by="account_id")
def one_per_account(ctx: Context, account_id: int, seconds: float = 0.2) -> None:
    """Run alone for each account, until a cancel."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(0.05)
        ctx.progress(0, 1)


@task(per_minute=3)
def three_a_minute(ctx: Context) -> None:
    """Start at most three times per minute."""
    note(ctx, "start")


class Point(BaseModel):
    """A result with a declared type."""

    x: float
    y: float


@task()
def returns(form: Literal["fits", "dict", "other", "nan"]) -> Point:
    """Return what fits the declared type, or does not."""
    results: dict[str, Any] = {
        "fits": Point(x=1, y=2),
        "dict": {"x": 1, "y": 2},
        "other": {"x": "one"},
        "nan": {"x": float("nan"), "y": 2},
    }
    return results[form]  # type: ignore[no-any-return]


@task()
def raises(how: str) -> None:
    """Raise an exception that is meant for Celery or the process."""
    from celery.exceptions import Ignore, Reject, Retry

    ways: dict[str, BaseException] = {
        "ignore": Ignore(),
        "reject": Reject("not my kind"),
        "retry": Retry(when=3600),
        "exit": SystemExit(3),
        "interrupt": KeyboardInterrupt(),
        "generator": GeneratorExit(),
    }
    raise ways[how]


class Doubled(BaseModel):
    """A model that pydantic cannot read from what it writes."""

    number: Annotated[int, AfterValidator(lambda value: value * 2)] = Field(validation_alias="n")
    password: SecretStr
    hidden: str = Field("", exclude=True)


@task()
def validated_once(model: Doubled, plain: Annotated[int, AfterValidator(lambda value: value + 1)]) -> list[object]:
    """Return the parameters."""
    return [model.number, model.password.get_secret_value(), model.hidden, plain]


@task()
def stops_at_80(ctx: Context) -> None:
    """Report less than all, and succeed."""
    ctx.progress(8, 10, "nearly")


@task()
def fails_with_memory(megabytes: int) -> None:
    """Fail while a variable holds much memory, and blame the input for an allocation that failed."""
    kept = [bytearray(2**20) for _ in range(megabytes)]
    raise ValueError(f"{len(kept)} MB are not enough")


@task()
def fills_memory() -> None:
    """Write to all memory that a task may use, and hold it for a moment."""
    kept = []
    try:
        while True:
            kept.append(b"x" * 2**20)
    except MemoryError:
        time.sleep(0.5)
        raise


@task()
def reports_file_broken() -> None:
    """Call an allocation that failed a broken file."""
    try:
        bytearray(2**45)
    except MemoryError:
        raise TaskError("file-broken", "The file is broken.") from None


_kept: list[bytearray] = []


@task()
def leaks(megabytes: int) -> int:
    """Keep memory after the end, and return the process id."""
    _kept.append(bytearray(megabytes * 2**20))
    return os.getpid()


@task()
def submits_others(ctx: Context, number: int) -> list[str]:
    """Submit some tasks, with input that differs in each attempt, and die after that in the first attempt."""
    pid = os.getpid()
    ids = ctx.submit_many([("typed", {"text": f"{n} {pid}", "number": n}) for n in range(1, number + 1)])
    ids.append(ctx.submit("describe_file", file=str(pid).encode(), delay=3600, key="the file"))
    if not ctx.checkpoints():
        ctx.checkpoint("died", "once")
        os.kill(pid, signal.SIGKILL)
    return ids


@task(soft_time_limit=1, time_limit=20)
async def awaits(ctx: Context, seconds: float) -> str:
    """Wait in an event loop, with a limit of a second."""
    note(ctx, "start")
    await asyncio.sleep(seconds)
    return "waited"


@task
def prints_and_logs(number: int) -> None:
    """Write output in each way that Python has."""
    print(f"printed {number}", "and more")
    logging.getLogger("of.a.library").info("logged %s", number)
    logging.getLogger("of.a.library").debug("too fine")
    thread = threading.Thread(target=lambda: print("from a thread"))
    thread.start()
    thread.join()
    print("without an end", end="")


@task
def in_processes(numbers: list[int]) -> list[int]:
    """Start processes, as the documentation shows."""
    pool = billiard.Pool(2)
    try:
        return list(pool.map(abs, numbers))
    finally:
        pool.close()
        pool.join()


def _worked(ctx: Context, name: str) -> UUID:
    note(ctx, name)
    return uuid4()


async def _waited(ctx: Context, name: str) -> UUID:
    await asyncio.sleep(0.01)
    return _worked(ctx, name)


def _end_first_attempt(ctx: Context, end: str) -> None:
    if ctx.deliveries > 1:
        return
    note(ctx, "between")
    if end == "waits":
        time.sleep(120)
    elif end == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    elif end == "fails":
        raise OSError("not yet")


@task(retries=1, retry_on=(OSError,), retry_backoff=0.1)
def in_steps(ctx: Context, end: Literal["", "waits", "dies", "fails"] = "") -> list[str]:
    """Work in three steps. The first attempt ends after two of them, or while it waits for a signal."""
    results = [ctx.step(f"number {number}", _worked, ctx, f"step-{number}").hex for number in (1, 2)]
    _end_first_attempt(ctx, end)
    return [*results, ctx.step("number 3", _worked, ctx, name="step-3").hex]


@task(retries=1, retry_on=(OSError,), retry_backoff=0.1)
async def in_async_steps(ctx: Context, end: Literal["", "fails"] = "") -> list[str]:
    """Work in three steps in an event loop, two of them at the same time."""
    steps = [ctx.step(f"number {number}", _waited, ctx, f"step-{number}") for number in (1, 2)]
    results = [each.hex for each in await asyncio.gather(*steps)]
    _end_first_attempt(ctx, end)
    return [*results, ctx.step("number 3", lambda: _worked(ctx, "step-3").hex)]
