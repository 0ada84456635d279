"""Errors of the commands, which end them with a message for the user."""


class CannotRun(Exception):
    """The reason why the server cannot start, as one sentence for the user. It never contains a password."""
