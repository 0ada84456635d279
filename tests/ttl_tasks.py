"""Tasks with their own retention."""

from server.sdk.context import Context, Upload
from server.sdk.registry import task


@task(input_ttl=2)
def reads(ctx: Context, file: Upload, text: str = "") -> int:
    """Keep a copy of the file, and return its size."""
    with file.open() as opened:
        data = opened.read()
    ctx.save("copy.txt", data, "text/plain")
    return len(data)


@task(ttl=4321, input_ttl=1)
def quick(number: int = 1) -> int:
    """Return the number."""
    return number
