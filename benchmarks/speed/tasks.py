"""Tasks that do nothing, to measure the server's own cost."""

import time

from server.sdk.registry import task


@task()
def empty() -> None:
    """Do nothing at all, and succeed."""


@task()
def pause(seconds: float) -> None:
    """Do nothing for a time."""
    time.sleep(seconds)
