"""A task that does nothing: what is left is the server's own."""

from server.sdk.registry import task


@task()
def empty() -> None:
    """Do nothing."""
