"""An empty task, to measure the server's own cost."""

from server.sdk.registry import task


@task()
def empty() -> None:
    """Do nothing at all, and succeed."""
