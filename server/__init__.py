"""Coatcheck: an asynchronous REST task server.

The author of a task imports from here: `from server import task, Context, Upload, OutputFile, TaskError`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from server.sdk.context import Context, OutputFile, Upload
    from server.sdk.errors import Canceled, RetryLater, TaskError
    from server.sdk.registry import expose, task

__version__ = "0.2.0.dev0"

__all__ = ["Canceled", "Context", "OutputFile", "RetryLater", "TaskError", "Upload", "expose", "task"]

_MODULES = {
    "Canceled": "server.sdk.errors",
    "Context": "server.sdk.context",
    "OutputFile": "server.sdk.context",
    "RetryLater": "server.sdk.errors",
    "TaskError": "server.sdk.errors",
    "Upload": "server.sdk.uploads",
    "expose": "server.sdk.registry",
    "task": "server.sdk.registry",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that `import server.settings` loads nothing else."""
    if name not in _MODULES:
        raise AttributeError(f"module 'server' has no attribute {name!r}")
    globals()[name] = getattr(import_module(_MODULES[name]), name)
    return globals()[name]
