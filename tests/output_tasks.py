"""Tasks that give output before their end."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Generator, Iterator
from typing import Any, Literal

from pydantic import BaseModel
from sample_tasks import note

from server import Context, OutputFile, task


class Row(BaseModel):
    """An item."""

    number: int
    text: str = ""


@task
def yields_rows(number: int, length: int = 0, pause: float = 0.0) -> Generator[Row, None, str]:
    """Yield rows, and return a sentence."""
    for at in range(1, number + 1):
        yield Row(number=at, text="x" * length)
        time.sleep(pause)
    return f"{number} rows"


@task
async def yields_late(texts: list[str]) -> AsyncIterator[str]:
    """Yield texts in an event loop."""
    for text in texts:
        await asyncio.sleep(0.01)
        yield text


@task
def emits(ctx: Context, items: list[Any]) -> int:
    """Emit items, and return their number."""
    for item in items:
        ctx.emit(item)
    return len(items)


@task
def emits_infinity(ctx: Context) -> None:
    """Emit a number that JSON does not have."""
    ctx.emit(float("inf"))


@task
def yields_then_sleeps(ctx: Context, seconds: float = 60.0) -> Iterator[int]:
    """Yield two items at the same time, and work for long after them."""
    try:
        yield 1
        yield 2
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            time.sleep(0.05)
            yield 3
    finally:
        note(ctx, "closed")


@task(retries=1, retry_on=(OSError,), retry_backoff=0.1)
def yields_again(ctx: Context, number: int, end: Literal["dies", "fails", "waits"]) -> Iterator[str]:
    """Yield a number of items; the first attempt ends badly after half of them."""
    for at in range(number):
        yield f"{ctx.deliveries}/{at}"
        if ctx.deliveries == 1 and at == number // 2:
            note(ctx, "half")
            time.sleep(60 if end == "waits" else 0.5)  # the items of the last 0.1 s may be lost with the process
            if end == "dies":
                os.kill(os.getpid(), signal.SIGKILL)
            raise OSError("not yet")


@task
def yields_wrong(case: Literal["type", "late"]) -> Iterator[int]:
    """Yield a number, then something else."""
    yield 1
    if case == "type":
        yield "two"  # type: ignore[misc]
    raise ValueError("too late")


@task
def yields_a_file(ctx: Context) -> Iterator[OutputFile]:
    """Yield a file."""
    yield ctx.save("page.txt", b"page", "text/plain")
