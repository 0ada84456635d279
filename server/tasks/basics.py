"""Small tasks for a first try."""

import time
from typing import Annotated

from pydantic import BaseModel, Field

from server.sdk.context import Context
from server.sdk.errors import TaskError
from server.sdk.registry import task


class Slept(BaseModel):
    """The result of `long_running_task`: how long it slept."""

    slept_seconds: float
    steps: int


@task(soft_time_limit=3600, time_limit=3660)
def long_running_task(
    ctx: Context,
    seconds: Annotated[float, Field(ge=0, le=3600)] = 30,
    steps: Annotated[int, Field(ge=1, le=10_000)] = 10,
) -> Slept:
    """Sleep for some seconds and report each step as progress."""
    for step in range(steps):
        ctx.progress(step, steps, f"step {step + 1} of {steps}")
        time.sleep(seconds / steps)
    ctx.progress(steps, steps, "done")
    return Slept(slept_seconds=seconds, steps=steps)


@task(soft_time_limit=5, time_limit=10)
def divide(x: float, y: float) -> float:
    """Divide `x` by `y`. Fails with an explanation if `y` is 0."""
    try:
        return x / y
    except ZeroDivisionError:
        raise TaskError("division-by-zero", f"{x:g} cannot be divided by zero. Use a `y` other than 0.") from None
    except OverflowError:
        raise TaskError("overflow", "The quotient is too large for a floating-point number.") from None
