"""The store of the application that handles the current request."""

from flask import current_app

from server.store import Store

#: The key of the store in Flask's extensions.
EXTENSION = "coatcheck"


def store() -> Store:
    """Return the store of the current application."""
    found: Store = current_app.extensions[EXTENSION]
    return found
