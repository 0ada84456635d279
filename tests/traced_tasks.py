"""Tasks that write every sort of log line."""

import logging
import os
import sys
import time

from server.sdk.context import Context
from server.sdk.registry import task


@task()
def writes_lines(ctx: Context, how: str = "") -> list[str]:
    """Write lines by all ways, and return the trace that the task knows."""
    print("printed")
    print("to standard error", file=sys.stderr)
    logging.getLogger("some.library").warning("logged \u2028 {}")
    ctx.log("of the task")
    if how == "fails":
        raise OSError("for the test")
    if how == "dies":
        os._exit(9)
    if how == "submits":
        return [ctx.submit("writes_lines")]
    if how == "sleeps":
        time.sleep(60)
    return [ctx.traceparent, ctx.tracestate]
