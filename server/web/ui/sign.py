"""Signing in and out with an API key."""

from urllib.parse import urlsplit

from flask import Response, make_response, request
from werkzeug.wrappers import Response as BaseResponse

from server.web import sessions
from server.web.request_limits import wait_fields, wrong_keys
from server.web.ui.blueprint import moved, page, ui

_MAX_KEY = 200


@ui.get("/ui/sign-in")
def show_sign_in() -> Response:
    return page("sign_in.html", "", next=_next(request.args.get("next", "")), wrong=False, seconds=0)


@ui.post("/ui/sign-in")
def sign_in() -> BaseResponse:
    """Check the key, and redirect to the page that asked for it."""
    sessions.require_own_page()
    next_path = _next(request.form.get("next", ""))
    response = make_response(moved(next_path))
    key = request.form.get("key", "")[:_MAX_KEY].strip()
    if sessions.sign_in(response, key, keep=request.form.get("keep") == "yes"):
        return response
    seconds = wrong_keys().count(request.remote_addr or "")
    again = page("sign_in.html", "", next=next_path, wrong=True, seconds=seconds)
    again.status_code = 429 if seconds else 403
    again.headers.update(wait_fields(seconds) if seconds else {})
    return again


@ui.post("/ui/sign-out")
def sign_out() -> BaseResponse:
    sessions.require_own_page()
    response = make_response(moved("/"))
    sessions.sign_out(response)
    return response


def _next(address: str) -> str:
    """Return a path on this server for any address: `//evil`, `/\\evil` and `https:` would lead to another one."""
    parts = urlsplit(address.replace("\\", "/"))
    clean = address.isprintable() and address.startswith("/") and not parts.scheme and not parts.netloc
    return address if clean and not address.startswith(("//", "/\\")) else "/"
