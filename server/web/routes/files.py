"""Downloads of a task's output files, also by range (RFC 9110, sections 13 and 14)."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from flask import Response, request

from server.store.errors import BlobMissing
from server.store.record import Record
from server.web.current import store
from server.web.errors import Problem
from server.web.openapi.route import CACHED, Api, ResponseSpec, Route
from server.web.routes.tasks import find

route = Api("files", "tickets")

#: Types that a browser may display. All others are downloaded, so that none runs as a page of this origin.
_INLINE = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp", "image/avif", "text/plain"})


_FILE_HEADERS = (*CACHED, "Content-Disposition", "Content-Length", "Accept-Ranges")


@route.get(
    "/tasks/<task_id>/files/<name>",
    ResponseSpec(200, "The file, with its media type.", {}, _FILE_HEADERS, media_type="*/*"),
    ResponseSpec(206, "The bytes of the range.", {}, (*_FILE_HEADERS, "Content-Range"), media_type="*/*"),
    parameters=("file", "Range", "If-Range"),
    problems=("unknown-task", "unknown-file", "expired-task", "range-not-satisfiable"),
)
def get_file(task_id: str, name: str) -> Response:
    """An output file of a task."""
    file = _find(find(task_id), name)
    etag = f'"{file["sha256"]}"'
    headers = _headers(file, etag)
    if "If-None-Match" in request.headers and request.if_none_match.contains_weak(file["sha256"]):
        return Response(status=304, headers=headers)
    part = _range(file, etag)
    start, stop = part or (0, file["bytes"])
    if part:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{file['bytes']}"
    body = b"" if request.method == "HEAD" else _read(file["key"], start, stop)
    response = Response(body, 206 if part else 200, headers)
    response.headers["Content-Length"] = str(stop - start)
    return response


route.describe(
    Route(
        "head",
        "/tasks/{task_id}/files/{name}",
        "head_file",
        tuple(ResponseSpec(each.status, each.description, headers=each.headers) for each in route.routes[-1].responses),
        "tickets",
        "A file's headers without its bytes",
        parameters=route.routes[-1].parameters,
        problems=route.routes[-1].problems,
    )
)


def _find(record: Record, name: str) -> dict[str, Any]:
    for file in record.files:
        if file["name"] == name:
            return file
    raise Problem("unknown-file", f"The task has: {', '.join(file['name'] for file in record.files) or 'no files'}.")


def _headers(file: dict[str, Any], etag: str) -> dict[str, str]:
    disposition = "inline" if file["media_type"].partition(";")[0] in _INLINE else "attachment"
    return {
        "Content-Type": file["media_type"],
        "Content-Disposition": f"{disposition}; {_file_name(file['name'])}",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, max-age=3600",
    }


def _file_name(name: str) -> str:
    """The file name for all clients, and the extended form for names that are not plain ASCII (RFC 6266)."""
    plain = "".join(char if " " <= char <= "~" and char not in '"\\' else "_" for char in name)
    return f'filename="{plain}"' + ("" if plain == name else f"; filename*=UTF-8''{quote(name, safe='')}")


def _range(file: dict[str, Any], etag: str) -> tuple[int, int] | None:
    """The start and end of the requested range. Several ranges, or a stale `If-Range`, get the whole file."""
    size: int = file["bytes"]
    wanted = request.range if request.method == "GET" else None
    condition = request.headers.get("If-Range", etag)
    if wanted is None or wanted.units != "bytes" or len(wanted.ranges) != 1 or condition != etag:
        return None
    first, _ = wanted.ranges[0]
    # A suffix longer than the file: RFC 9110 requires the whole file, werkzeug returns nothing.
    selected = (0, size) if 0 < size < -first else wanted.range_for_length(size)
    if selected is None:
        raise Problem("range-not-satisfiable", headers={"Content-Range": f"bytes */{size}"})
    return selected


def _read(key: str, start: int, stop: int) -> Iterator[bytes]:
    try:
        return store().blobs.read(key, start, stop)
    except BlobMissing:
        raise Problem("unknown-file", "The file is deleted.") from None
