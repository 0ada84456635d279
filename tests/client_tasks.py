"""Tasks for the tests of what a client sends and gets: parameters of many types, and ends of many kinds."""

from datetime import date, datetime
from enum import IntEnum
from typing import Any, Literal

from server.sdk.context import Context, OutputFile, Upload
from server.sdk.errors import TaskError
from server.sdk.registry import task


class Level(IntEnum):
    """An enum of numbers."""

    LOW = 1
    HIGH = 3


@task()
def loose(anything: dict[str, Any]) -> dict[str, Any]:
    """Give back any object."""
    return anything


@task()
def lists(numbers: list[int], words: list[str]) -> dict[str, list[Any]]:
    """Give back two lists."""
    return {"numbers": numbers, "words": words}


@task()
def moments(day: date, moment: datetime, choice: Literal[1, 2], level: Level) -> dict[str, Any]:
    """Give back what came as text."""
    return {"day": day, "moment": moment, "choice": choice, "level": level}


@task()
def name_of(file: Upload) -> str:
    """What the client called its file; it can be opened under a path, whatever that is."""
    with file.path() as path:
        assert path.read_bytes() == file.read()
    return file.filename


@task()
def maybe_file(word: str, file: Upload | None = None) -> int | None:
    """The size of a file that need not be there."""
    return file.size if file else None


@task()
def save_file(ctx: Context, name: str, text: str = "0123456789", media_type: str = "text/plain") -> OutputFile:
    """Save a file under a name."""
    return ctx.save(name, text.encode(), media_type)


@task()
def save_two(ctx: Context) -> list[OutputFile]:
    """Save two files."""
    return [ctx.save(f"{number}.txt", b"x" * number, "text/plain") for number in (1, 2)]


class Own(ValueError):
    """An exception of somebody's library, which says too much and cannot be pickled."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(f"no answer from {host} at {port}; the password was swordfish")


@task()
def ends(how: str) -> object:
    """End in some way."""
    circular: list[Any] = []
    circular.append(circular)
    match how:
        case "own":
            raise Own("db.internal", 5432)
        case "host":
            raise ValueError("db.internal:5432 and 10.1.2.3 and /srv/secret/key and C:\\keys\\a.txt do not answer")
        case "os":
            open("/srv/secret/key")  # noqa: PTH123, SIM115
        case "type":
            raise TaskError("No Slug", "x")
        case "task":
            raise TaskError("too-much-cheese", "Take less cheese.")
        case "circular":
            return circular
        case "key":
            return {"tuple": (1, 2), 5: {1, 2}}
    return how


@task(retries=1, retry_on=(OSError,), retry_backoff=60)
def gives_up_slowly() -> None:
    """Fail, and be tried again much later."""
    raise OSError("not yet")


@task(queue="slow.1")
def in_a_queue_of_its_own() -> None:
    """Go to another queue than the others."""
