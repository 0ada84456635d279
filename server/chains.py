"""Chains: an upload that is a file which another task of the same owner made, or is still to make."""

from collections.abc import Iterable
from typing import Any

from server.errors import Problem, TaskError
from server.records import Status, records
from server.uploads import Upload

#: Where an upload stands in an input: its parameter, and its index in a list.
Place = tuple[str | int, ...]


def find(upload: Upload, owner: str, place: Place = ()) -> dict[str, Any] | None:
    """The stored file that an upload names; None while its task has not ended.

    Raises:
        Problem: `invalid-input` at this place, where there is no such task or file, or the task did not succeed.
    """
    record = records().get(upload.task_id)
    if record is None or record.owner != owner:
        raise _problem("There is no such task", *place, "task_id")
    if not record.status.done:
        return None
    if record.status is not Status.SUCCEEDED:
        raise _problem(f"The task is {record.status}", *place, "task_id")
    for file in record.files:
        if file["name"] == upload.file:
            return file
    there = ", ".join(file["name"] for file in record.files) or "none"
    raise _problem(f"The task has no such file; it has: {there}", *place, "file")


def become(upload: Upload, file: dict[str, Any]) -> None:
    """Make the upload that stored file."""
    upload.key, upload.filename, upload.media_type = file["key"], file["name"], file["media_type"]
    upload.size, upload.sha256 = file["bytes"], file["sha256"]
    upload.task_id = upload.file = ""


def resolve(arguments: Iterable[Any], owner: str) -> None:
    """In the worker, before the function is called: the tasks that this one waited for have ended.

    Raises:
        TaskError: `dependency-failed` where a file is not there.
    """
    for argument in arguments:
        for upload in argument if isinstance(argument, list) else [argument]:
            if isinstance(upload, Upload) and upload.task_id:
                _resolve(upload, owner)


def _resolve(upload: Upload, owner: str) -> None:
    try:
        found = find(upload, owner)
    except Problem as problem:
        raise TaskError("dependency-failed", f"{upload.file}: {problem.detail}") from None
    if found is None:
        raise TaskError("dependency-failed", f"{upload.file}: its task has not ended.")
    become(upload, found)


def _problem(sentence: str, *place: str | int) -> Problem:
    return Problem("invalid-input", f"{sentence}.", errors=[{"loc": place, "msg": sentence}])
