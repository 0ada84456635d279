"""What pages are made of: scripts, a picture, styles; and text that is sent compressed to who takes it so.

A style sheet is written into its page: a reader who has never been here sees the page after one round trip, for page
and style are together smaller than what a server sends before it hears back (ten packets, RFC 6928). A link to a sheet
would cost a second one. The policy names each sheet by its hash, so it stays strict: nothing else inline is taken.

Scripts lie under a version that is the hash of all of them, so a browser asks for each once in its life.
"""

import base64
import gzip
import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from flask import Blueprint, Response, request
from markupsafe import Markup

from server.web.errors import Problem

assets = Blueprint("assets", __name__)

_HERE = Path(__file__).parent

_TYPES = {".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}

#: Sheets by the pages that have them.
_SHEETS = {"app": ("base.css", "app.css"), "docs": ("base.css", "docs.css")}

_YEAR = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class Packed:
    """Text as it is and compressed: two representations, each with an entity tag of its own (RFC 9110, 8.8.3)."""

    plain: bytes
    zipped: bytes
    digest: str

    def response(self, media_type: str, cache_control: str) -> Response:
        """As the client takes it; 304 where it has it."""
        zipped = takes_gzip()
        response = Response(self.zipped if zipped else self.plain, content_type=media_type)
        response.set_etag(f"{self.digest}-gzip" if zipped else self.digest)
        response.headers["Cache-Control"] = cache_control
        response.vary.add("Accept-Encoding")
        if zipped:
            response.headers["Content-Encoding"] = "gzip"
        response.make_conditional(request)
        return response


def packed(text: bytes) -> Packed:
    """Pack text, once for all who ask for it."""
    return Packed(text, gzip.compress(text, 9, mtime=0), hashlib.sha256(text).hexdigest()[:24])


def takes_gzip() -> bool:
    """Whether the client does."""
    return request.accept_encodings.quality("gzip") > 0


def compress(response: Response) -> None:
    """Send a page compressed to who takes that.

    No page holds a secret beside words of who asked for it (BREACH): keys are shown nowhere, and what tells our own
    pages from others is a header of the browser, not a token in them.
    """
    response.vary.add("Accept-Encoding")
    if takes_gzip() and not response.is_streamed:
        response.set_data(gzip.compress(response.get_data(), 6, mtime=0))
        response.headers["Content-Encoding"] = "gzip"


@assets.get("/static/<name>", defaults={"version": ""})
@assets.get("/static/<version>/<name>")
def static(name: str, version: str) -> Response:
    """A script or a picture; under an address of its content it is never asked for again."""
    found = _files().get(name)
    if found is None:
        raise Problem("not-found")
    return found.response(_TYPES[Path(name).suffix], _YEAR if version == _version() else "no-cache")


@assets.app_template_global("asset")
def asset(name: str) -> str:
    """The address of a file of `static/`."""
    return f"/static/{_version()}/{name}"


@assets.app_template_global("style")
def style(name: str) -> Markup:
    """The style of a page, in the page; nothing for a script that fetches the page to bring its own up to date."""
    if request.headers.get("Sec-Fetch-Dest") == "empty":
        return Markup("")
    return Markup("<style>{}</style>").format(Markup(_sheet(name)))


@lru_cache(maxsize=1)
def style_sources() -> str:
    """The styles as a Content Security Policy has them: by their hashes."""
    hashes = (base64.b64encode(hashlib.sha256(_sheet(name).encode()).digest()).decode() for name in _SHEETS)
    return " ".join(f"'sha256-{each}'" for each in hashes)


@lru_cache(maxsize=len(_SHEETS))
def _sheet(name: str) -> str:
    text = "".join((_HERE / "styles" / part).read_text() for part in _SHEETS[name])
    return text.replace("url(/static/", f"url(/static/{_version()}/")


@lru_cache(maxsize=1)
def _files() -> dict[str, Packed]:
    return {path.name: packed(path.read_bytes()) for path in sorted((_HERE / "static").iterdir())}


@lru_cache(maxsize=1)
def _version() -> str:
    return hashlib.sha256("".join(each.digest for each in _files().values()).encode()).hexdigest()[:12]
