"""Dependencies: uploads that are files of another task of the same owner, which may not have ended yet."""

from collections.abc import Mapping
from typing import Any

from server.sdk.errors import InvalidInput, TaskError
from server.sdk.uploads import Location, Upload, uploads_in
from server.store import Store
from server.store.record import Status


def find_file(store: Store, upload: Upload, owner: str, location: Location) -> dict[str, Any] | None:
    """Find the file that an upload names; None while its task has not ended. Raises InvalidInput at `location`."""
    record = store.tasks.get(upload.task_id)
    if record is None or record.owner != owner:
        raise _invalid("This task does not exist", *location, "task_id")
    if not record.status.done:
        return None
    if record.status is not Status.SUCCEEDED:
        raise _invalid(f"The task is {record.status}", *location, "task_id")
    for file in record.files:
        if file["name"] == upload.file:
            return file
    names = ", ".join(file["name"] for file in record.files) or "none"
    raise _invalid(f"The task has no such file; it has: {names}", *location, "file")


def point_to_file(upload: Upload, file: dict[str, Any]) -> None:
    upload.key, upload.filename, upload.media_type = file["key"], file["name"], file["media_type"]
    upload.size, upload.sha256 = file["bytes"], file["sha256"]
    upload.task_id = upload.file = ""


def resolve(store: Store, arguments: Mapping[str, Any], owner: str) -> None:
    """Find the files that a task waited for, before its function is called; raises `dependency-failed`."""
    for location, upload in uploads_in(arguments):
        if not upload.task_id:
            continue
        try:
            file = find_file(store, upload, owner, location)
        except InvalidInput as error:
            raise TaskError("dependency-failed", f"{upload.file}: {error.detail}") from None
        if file is None:
            raise TaskError("dependency-failed", f"{upload.file}: its task has not ended.")
        point_to_file(upload, file)


def _invalid(message: str, *location: str | int) -> InvalidInput:
    return InvalidInput(f"{message}.", errors=[{"loc": location, "msg": message}])
