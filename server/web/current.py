"""The store of the application that handles the request at hand."""

from flask import current_app

from server.store import Store

#: Where the application keeps its store among Flask's extensions.
EXTENSION = "coatcheck"


def store() -> Store:
    """Return the store of the current application."""
    found: Store = current_app.extensions[EXTENSION]
    return found
