"""Chains: an upload that is a file which another task of the same owner made, or is still to make."""

from collections.abc import Iterable
from typing import Any

from server.errors import Problem, TaskError
from server.records import Status, records
from server.uploads import Upload


def find(upload: Upload, owner: str) -> dict[str, Any] | None:
    """The stored file that an upload names; None while its task has not ended.

    Raises:
        Problem: `invalid-input` where there is no such task or file, or the task did not succeed.
    """
    record = records().get(upload.task_id)
    if record is None or record.owner != owner:
        raise _problem("There is no such task")
    if not record.status.done:
        return None
    if record.status is not Status.SUCCEEDED:
        raise _problem(f"The task is {record.status}")
    for file in record.files:
        if file["name"] == upload.file:
            return file
    raise _problem(f"The task has no such file; it has: {', '.join(file['name'] for file in record.files) or 'none'}")


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


def _problem(sentence: str) -> Problem:
    return Problem("invalid-input", f"{sentence}.", errors=[{"loc": ["task_id"], "msg": sentence}])
