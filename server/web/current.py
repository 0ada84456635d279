"""The application of the current request: its store, and objects created once for it."""

from collections.abc import Callable
from typing import TypeVar

from flask import current_app

from server.store import Store
from server.store.stats import Tally

T = TypeVar("T")

#: The keys of the store, the locator, the routes and the counts of requests among Flask's extensions.
EXTENSION = "coatcheck"
LOCATOR = "coatcheck.locator"
ROUTES = "coatcheck.routes"
REQUESTS = "coatcheck.requests"


def store() -> Store:
    found: Store = current_app.extensions[EXTENSION]
    return found


def requests() -> Tally:
    """Return the counts of the current application's requests."""
    found: Tally = current_app.extensions[REQUESTS]
    return found


def cached(name: str, make: Callable[[], T]) -> T:
    """Return the object that was created once for the current application under this name."""
    if name not in current_app.extensions:
        current_app.extensions.setdefault(name, make())
    found: T = current_app.extensions[name]
    return found
