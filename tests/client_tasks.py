"""Tasks for tests of clients: parameters of many types, and many ways to end."""

from datetime import date, datetime
from enum import IntEnum
from typing import Any, Literal

from server.sdk.context import Context, OutputFile, Upload
from server.sdk.errors import TaskError
from server.sdk.registry import task


class Level(IntEnum):
    """An enum with numbers as values."""

    LOW = 1
    HIGH = 3


@task()
def loose(anything: dict[str, Any]) -> dict[str, Any]:
    """Return the object that was sent."""
    return anything


@task()
def lists(numbers: list[int], texts: list[str]) -> dict[str, list[Any]]:
    """Return the two lists that were sent."""
    return {"numbers": numbers, "texts": texts}


@task()
def moments(day: date, moment: datetime, choice: Literal[1, 2], level: Level) -> dict[str, Any]:
    """Return the values as text."""
    return {"day": day, "moment": moment, "choice": choice, "level": level}


@task()
def optional_values(day: date | None = None, word: str | None = None) -> dict[str, Any]:
    """Return the values as text."""
    return {"day": day, "word": word}


@task()
def name_of(file: Upload) -> str:
    """Return the client's name of its file; open it by path to show that the name is safe."""
    with file.path() as path:
        assert path.read_bytes() == file.read()
    return file.filename


@task()
def maybe_file(word: str, file: Upload | None = None) -> int | None:
    """Return the size of an optional file."""
    return file.size if file else None


@task()
def save_file(ctx: Context, name: str, text: str = "0123456789", media_type: str = "text/plain") -> OutputFile:
    """Save a file under the given name."""
    return ctx.save(name, text.encode(), media_type)


@task()
def save_two(ctx: Context) -> list[OutputFile]:
    """Save two files with the same content."""
    return [ctx.save(f"{number}.txt", b"x" * number, "text/plain") for number in (1, 2)]


class LibraryError(ValueError):
    """An exception of another library, with a secret in its message; it cannot be pickled."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(f"no answer from {host} at {port}; the password was swordfish")


@task()
def ends(how: str) -> object:
    """End in the way that the parameter names."""
    circular: list[Any] = []
    circular.append(circular)
    match how:
        case "own":
            raise LibraryError("db.internal", 5432)
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
    """Fail; the retry is much later."""
    raise OSError("not yet")


@task(queue="slow.1")
def in_a_queue_of_its_own() -> None:
    """Wait in another queue than the other tasks."""
