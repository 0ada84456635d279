"""Coatcheck: an asynchronous REST task server.

The author of a task imports from here: `from server import task, Context, Upload, OutputFile, TaskError`. A Python
application that submits tasks imports `submit`, and `Coatcheck` to be this server, too.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from server.celery_app.exposed import expose, expose_all
    from server.cli.embedded import submit, ticket
    from server.cli.extension import Coatcheck
    from server.sdk.context import Context, OutputFile, Upload
    from server.sdk.errors import Canceled, RetryLater, TaskError
    from server.sdk.registry import task
    from server.services.client import Ticket
    from server.store.errors import CoatcheckError

__version__ = "0.2.0.dev0"

__all__ = [
    "Canceled",
    "Coatcheck",
    "CoatcheckError",
    "Context",
    "OutputFile",
    "RetryLater",
    "TaskError",
    "Ticket",
    "Upload",
    "expose",
    "expose_all",
    "submit",
    "task",
    "ticket",
]

_MODULES = {
    "Canceled": "server.sdk.errors",
    "Coatcheck": "server.cli.extension",
    "CoatcheckError": "server.store.errors",
    "Context": "server.sdk.context",
    "OutputFile": "server.sdk.context",
    "RetryLater": "server.sdk.errors",
    "TaskError": "server.sdk.errors",
    "Ticket": "server.services.client",
    "Upload": "server.sdk.uploads",
    "expose": "server.celery_app.exposed",
    "expose_all": "server.celery_app.exposed",
    "submit": "server.cli.embedded",
    "task": "server.sdk.registry",
    "ticket": "server.cli.embedded",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that `import server.settings` loads nothing else."""
    if name not in _MODULES:
        raise AttributeError(f"module 'server' has no attribute {name!r}")
    globals()[name] = getattr(import_module(_MODULES[name]), name)
    return globals()[name]
