"""Options of a submit, from its query and headers. They are separate from the task's parameters."""

import re
from collections.abc import Collection, Mapping
from typing import Any

from flask import request

from server.services.options import Options, OptionsIn, parse_options
from server.store.api_keys import Caller
from server.store.submit import IdempotencyKey
from server.web.current import store
from server.web.errors import Problem, invalid

NESTED = tuple(OptionsIn.model_fields)  # the options that an item of a batch, or a schedule, may have in its JSON body
_DURATION = re.compile(r"(\d{1,9})([smh]?)")
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}


def read_options() -> Options:
    """Read the options of this request. Raises the problem `invalid-input` that names the option."""
    if not request.environ.get("QUERY_STRING") and "HTTP_CANCEL_AFTER" not in request.environ:
        return Options()
    texts: dict[str, Any] = {"tag": request.args.getlist("tag")}
    for name, values in request.args.lists():
        if name in NESTED and name != "tag":
            if len(values) > 1:
                raise invalid("Given more than once", "query", name)
            texts[name] = values[0]
    if "Cancel-After" in request.headers:
        texts = {"cancel_after": _duration(request.headers["Cancel-After"])} | texts
    return _parsed(texts, "query")


def nested_options(options: Mapping[str, Any], names: Collection[str]) -> Options:
    """Parse options inside a JSON body, where only these names are accepted. Raises the problem `invalid-input`."""
    if unknown := sorted(set(options) - set(names)):
        errors = [{"loc": ["options", name], "msg": f"Input should be one of {', '.join(names)}"} for name in unknown]
        raise Problem("invalid-input", f"Unknown options: {', '.join(unknown)}.", errors=errors)
    return _parsed(options, "options")


def _parsed(options: Mapping[str, Any], location: str) -> Options:
    return parse_options(options, location, allow_private=store().settings.allow_private_addresses)


def _duration(text: str) -> str:
    """Convert `90`, `90s`, `5m` or `1h` to seconds. Raises the problem `invalid-input` for any other text."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise invalid("Input should be 90, 90s, 5m or 1h", "header", "Cancel-After")
    return str(int(match[1]) * _SECONDS[match[2]])


def read_flag(name: str) -> bool:
    """Read `true` or `false` from the query; false without it. Raises the problem `invalid-input` for another text."""
    text = request.args.get(name, "false")
    if text not in ("true", "false"):
        raise invalid("Input should be true or false", "query", name)
    return text == "true"


def read_key(caller: Caller) -> IdempotencyKey | None:
    """Read the request's idempotency key, without quotes; refuse one that is empty or too long."""
    if "Idempotency-Key" not in request.headers:
        return None
    text = request.headers["Idempotency-Key"].strip()
    if len(text) >= 2 and text[0] == text[-1] == '"':
        text = text[1:-1]
    if not 1 <= len(text) <= 255:
        raise Problem("bad-request", "An Idempotency-Key must have 1 to 255 characters.")
    return IdempotencyKey(caller.owner, text)
