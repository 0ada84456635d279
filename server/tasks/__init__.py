"""The included tasks. Each module is independent of the others; this package lists them."""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from sysconfig import get_path
from traceback import extract_tb

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


#: Files that are not the user's code, when the location of a failed import is searched.
_NOT_USER_CODE = ("<", str(Path(__file__).parents[1]), *(get_path(name) for name in ("stdlib", "purelib", "platlib")))


def load(settings: Settings) -> None:
    """Import every module that registers tasks, also the user's (`TASK_MODULES`), and read their settings.

    Raises:
        SettingsError: a module of `TASK_MODULES` cannot be imported, or a setting of a task is wrong.
    """
    for name, package in LEAVES.items():
        if not package or find_spec(package):
            import_module(name)
    for name in settings.task_modules:
        _import(name)
    load_parts(settings)


def _import(name: str) -> None:
    try:
        import_module(name)
    except ModuleNotFoundError as error:
        raise SettingsError(f"TASK_MODULES: there is no module {error.name!r} (for {name!r})") from error
    except Exception as error:
        reason = " ".join(str(error).split())
        raise SettingsError(f"TASK_MODULES: {name}: {type(error).__name__}: {reason} ({_location(error)})") from error


def _location(error: Exception) -> str:
    """Return the file and the line of an error: the last in the user's code, not in the server's or a library."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}, line {error.lineno}"
    frames = [each for each in extract_tb(error.__traceback__) if not each.filename.startswith(_NOT_USER_CODE)]
    return f"{frames[-1].filename}, line {frames[-1].lineno}" if frames else "before its first line"
