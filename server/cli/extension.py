"""`Coatcheck(app, …)`: the Flask extension that puts the server into another application."""

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from server.cli import embedded
from server.cli.__main__ import main
from server.settings import from_mapping
from server.web.mount import mount

if TYPE_CHECKING:
    from flask import Flask

_PREFIX = "COATCHECK_"  # the prefix of our settings in the application's configuration


class Coatcheck:
    """The server below a prefix of a Flask application, in its own processes. A worker runs the tasks.

        Coatcheck(app, url_prefix="/jobs", owner=lambda: current_user.id)

    Args:
        app: the application; without it, call `init_app` later.
        url_prefix: the path below which the server answers.
        owner: called in each request; returns the owner of its tasks, or None for 401. An API key works, too.
        is_admin: called in each request; true gives the role admin.

    Settings come from `app.config` (`COATCHECK_REDIS_URL` for `REDIS_URL`) and from the environment.

    Raises:
        SettingsError: a setting is missing or not valid.
        ValueError: the prefix is not a path such as /jobs.
    """

    def __init__(
        self,
        app: "Flask | None" = None,
        *,
        owner: Callable[[], object],
        url_prefix: str = "/jobs",
        is_admin: Callable[[], object] = lambda: False,
    ) -> None:
        if not url_prefix.startswith("/") or url_prefix.endswith("/"):
            raise ValueError(f"url_prefix must be a path such as '/jobs', not {url_prefix!r}")
        self._owner = owner
        self._url_prefix = url_prefix
        self._is_admin = is_admin
        if app is not None:
            self.init_app(app)

    def init_app(self, app: "Flask") -> None:
        """Mount the server, add `flask coatcheck`, and let `submit` use the application's settings."""
        settings = {name.removeprefix(_PREFIX): value for name, value in app.config.items() if name.startswith(_PREFIX)}
        store = embedded.open_store(from_mapping(settings))
        embedded.use(store)
        mount(app, store, self._url_prefix, self._owner, self._is_admin)
        app.extensions["coatcheck"] = self

        @app.cli.command("coatcheck", context_settings={"ignore_unknown_options": True}, add_help_option=False)
        @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
        def command(arguments: tuple[str, ...]) -> None:
            """Run `coatcheck worker`, `keys` or `doctor` with this application's settings."""
            os.environ.update({name: _text(value) for name, value in settings.items()})
            sys.exit(main(arguments))


def _text(value: object) -> str:
    """Write a setting as an environment variable; an application may have a list where that has commas."""
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
