"""The included tasks. Each module is independent of the others; this package lists them."""

from importlib import import_module
from importlib.util import find_spec

from server.settings import Settings, SettingsError, load_parts

#: Each module of tasks, with the package that it needs from an extra of pyproject.toml; it is skipped without it.
LEAVES = {
    "server.tasks.basics": "",
    "server.tasks.images": "PIL",
    "server.tasks.documents": "pypdfium2",
    "server.tasks.tables": "duckdb",
    "server.tasks.mail": "",
    "server.tasks.feeds": "sqlalchemy",
}


def load(settings: Settings) -> None:
    """Import every module that registers tasks, including the user's own (`TASK_MODULES`), and read their settings.

    Raises:
        SettingsError: a module of `TASK_MODULES` does not exist, or a setting of a task is wrong.
    """
    for name, package in LEAVES.items():
        if not package or find_spec(package):
            import_module(name)
    for name in settings.task_modules:
        try:
            import_module(name)
        except ModuleNotFoundError as error:
            raise SettingsError(f"TASK_MODULES: there is no module {error.name!r} (for {name!r})") from error
    load_parts(settings)
