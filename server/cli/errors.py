"""The development runner behind `make run`: an embedded Valkey, then the Procfile's own lines, then a clean end."""


class CannotRun(Exception):
    """What keeps the server from starting, as one sentence for the user. Never holds a password."""
