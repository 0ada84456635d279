"""A task that a test controls."""

import contextlib
import time

from ledger_client import client

from server.sdk.context import Context
from server.sdk.registry import task
from server.store.connection import UNREACHABLE


@task()
def puppet(ctx: Context) -> str:
    """Run commands from a Redis list: `log`, `progress`, `emit`, `say` (a number of lines), `end`, `fail`."""
    ctx.progress(0, 1, "listening")
    while True:
        command = None
        with contextlib.suppress(*UNREACHABLE):
            command = client().lpop(f"test:puppet:{ctx.task_id}")
        if command is None:
            ctx.progress(0, 1) if ctx.should_stop() else time.sleep(0.005)
            continue
        word, _, rest = command.decode().partition(" ")
        if word == "log":
            ctx.log(rest)
        elif word == "emit":
            ctx.emit(rest)
        elif word == "progress":
            time.sleep(0.11)  # reports that follow one another too fast are left out
            ctx.progress(int(rest), 100)
        elif word == "say":
            for number in range(int(rest)):
                ctx.log(f"line {number}")
        elif word == "fail":
            raise ValueError(rest)
        elif word == "end":
            return rest
