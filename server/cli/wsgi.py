"""The application for servers that import it from a module without `__getattr__`: uWSGI and mod_wsgi."""

from server.cli.entry import application

__all__ = ["application"]
