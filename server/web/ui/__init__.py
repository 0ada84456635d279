"""Pages to run and follow tasks, and to operate the server. They use the public routes' functions, with the viewer's
key.

blueprint.py  headers, viewer, menu, errors as pages     format/       formats of values
home.py       start page, a task type's form             sign.py       signing in and out
tasks.py      the list of tasks; live.py: its changes    record.py     one task; batch.py: one batch
export.py     the list as a file                         stream.py     changes of open pages
operate/      overview, failures, keys, audit            schedules.py  schedules and their form
"""

from server.web.ui import batch, export, home, live, operate, record, schedules, sign, tasks
from server.web.ui.blueprint import ui
from server.web.ui.format import filters

__all__ = ["batch", "export", "filters", "home", "live", "operate", "record", "schedules", "sign", "tasks", "ui"]
