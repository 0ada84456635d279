"""The pages' own files: styles, scripts and a picture; and text that is sent compressed to clients that accept it.

The style sheet is one file, joined from `styles/` in the order of `_SHEET`. Every file is served under a version that
is a hash of all of them, so a browser asks for each file once per release.
"""

import gzip
import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from flask import Blueprint, Response, request

from server.web.addresses import prefix
from server.web.errors import Problem

assets = Blueprint("assets", __name__)

_HERE = Path(__file__).parent

_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}

#: The parts of the style sheet. Later parts override earlier ones: narrow and wide screens come last.
_SHEET = ("tokens", "frame", "controls", "tables", "parts", "pages", "wider")

_YEAR = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class Packed:
    """Text uncompressed and compressed: two representations, each with its own entity tag (RFC 9110, 8.8.3)."""

    plain: bytes
    zipped: bytes
    digest: str

    def response(self, media_type: str, cache_control: str) -> Response:
        """Answer in the encoding that the client accepts; 304 if the client has it already."""
        zipped = accepts_gzip()
        response = Response(self.zipped if zipped else self.plain, content_type=media_type)
        response.set_etag(f"{self.digest}-gzip" if zipped else self.digest)
        response.headers["Cache-Control"] = cache_control
        response.vary.add("Accept-Encoding")
        if zipped:
            response.headers["Content-Encoding"] = "gzip"
        response.make_conditional(request)
        return response


def packed(text: bytes) -> Packed:
    """Compress a text once for all requests."""
    return Packed(text, gzip.compress(text, 9, mtime=0), hashlib.sha256(text).hexdigest()[:24])


def accepts_gzip() -> bool:
    return request.accept_encodings.quality("gzip") > 0


def compress(response: Response) -> None:
    """Compress a page for clients that accept gzip.

    No page holds a secret next to text that another site can choose (BREACH): a new key is shown once, by a script,
    and cross-site requests are recognized by a header of the browser, not by a token in the page.
    """
    response.vary.add("Accept-Encoding")
    if accepts_gzip() and not response.is_streamed:
        response.set_data(gzip.compress(response.get_data(), 6, mtime=0))
        response.headers["Content-Encoding"] = "gzip"


@assets.get("/static/<name>", defaults={"version": ""})
@assets.get("/static/<version>/<name>")
def static(name: str, version: str) -> Response:
    """Serve a file of the pages; under its current version a browser caches it for a year."""
    file = _files().get(name)
    if file is None:
        raise Problem("not-found")
    return file.response(_TYPES[Path(name).suffix], _YEAR if version == _version() else "no-cache")


@assets.app_template_global("asset")
def asset(name: str) -> str:
    return f"{prefix()}/static/{_version()}/{name}"


@lru_cache(maxsize=1)
def _files() -> dict[str, Packed]:
    files = {path.name: packed(path.read_bytes()) for path in sorted((_HERE / "static").iterdir())}
    sheet = b"".join((_HERE / "styles" / f"{part}.css").read_bytes() for part in _SHEET)
    return files | {"app.css": packed(sheet)}


@lru_cache(maxsize=1)
def _version() -> str:
    return hashlib.sha256("".join(each.digest for each in _files().values()).encode()).hexdigest()[:12]
