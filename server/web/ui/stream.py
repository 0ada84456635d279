"""Streams of changes for open pages, as server-sent events.

`LiveBody` checks every few seconds, and sends a comment as heartbeat. `PageParts` sends the changed parts of a page, so
an idle page costs one request for any time:

    part    {"id", "html"}    the new content of the element with this id
"""

import hashlib
import io
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pydantic_core
from flask import g, request
from flask.globals import app_ctx

from server.store import Store
from server.store.api_keys import Caller
from server.web.current import store
from server.web.long_poll import PARKED, WAITING_SLOTS, Body

#: Ages are updated in the browser, so they do not count as a change.
_AGES = re.compile(r"(<time [^>]*>)[^<]*(?=</time>)")


class LiveBody(Body):
    """A stream that checks for changes every few seconds."""

    def __init__(self, store: Store, viewer: Caller, every: float) -> None:
        super().__init__(store, viewer)
        self._every = every
        self._checked_at = 0.0

    @property
    def due(self) -> float:
        return self._checked_at + self._every

    def more(self) -> bytes:
        """Return the changes since the last check, if it is time for one."""
        if (now := time.monotonic()) < self.due:
            return b""
        self._checked_at = now
        return super().more()


class PageParts(LiveBody):
    """The blocks of a page's template. `values` returns their values, or None if nothing has changed."""

    def __init__(
        self, viewer: Caller, template: str, parts: Sequence[str], values: Callable[[], Mapping[str, Any] | None]
    ) -> None:
        super().__init__(store(), viewer, 5.0)
        self._app = app_ctx.app
        kept = {name: value for name, value in request.environ.items() if name not in (PARKED, WAITING_SLOTS)}
        self._environ = {**kept, "wsgi.input": io.BytesIO()}
        self._template = template
        self._parts = parts
        self._values = values
        self._sent: dict[str, bytes] = {}

    def events(self) -> Iterator[bytes]:
        with self._app.request_context(self._environ):
            g.caller, g.request_id = self._viewer, ""
            values = self._values()
            if values is None:
                return
            shown = {"me": self._viewer, **values}
            self._app.update_template_context(shown)
            template = self._app.jinja_env.get_template(f"ui/{self._template}")
            context = template.new_context(shown)
            for part in self._parts:
                html = "".join(template.blocks[part](context))
                digest = hashlib.blake2b(_AGES.sub(r"\1", html).encode(), digest_size=16).digest()
                if self._sent.get(part) != digest:
                    self._sent[part] = digest
                    yield sent_event("part", {"id": part, "html": html})


def when_changed(
    counts: Callable[[], Mapping[str, int]], values: Callable[[], Mapping[str, Any]]
) -> Callable[[], Mapping[str, Any] | None]:
    """Make `values` for `PageParts` that are read only after a change of some counts, because they cost more."""
    last: Mapping[str, int] = {}

    def changed() -> Mapping[str, Any] | None:
        nonlocal last
        before, last = last, counts()
        return None if last == before else values()

    return changed


def sent_event(name: str, data: object) -> bytes:
    """Encode an event for the stream."""
    return b"event: %s\ndata: %s\n\n" % (name.encode(), pydantic_core.to_json(data))
