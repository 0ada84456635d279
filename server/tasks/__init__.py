"""The tasks that come with the server: each module is a leaf, and this is the list of them."""

from importlib import import_module

from server.settings import Settings, SettingsError

LEAVES = (
    "server.tasks.basics",
    "server.tasks.images",
    "server.tasks.tables",
    "server.tasks.mail",
    "server.tasks.feeds",
)


def load(settings: Settings) -> None:
    """Import every module that registers tasks, the user's own (`TASK_MODULES`) too.

    Raises:
        SettingsError: a module of `TASK_MODULES` is not there.
    """
    for name in LEAVES:
        import_module(name)
    for name in settings.task_modules:
        try:
            import_module(name)
        except ModuleNotFoundError as error:
            raise SettingsError(f"TASK_MODULES: there is no module {error.name!r} (of {name!r})") from error
