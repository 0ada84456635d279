"""Pages to run tasks and to see what is going on. They do what the public routes do, with what one's key may see.

blueprint.py  what they have in common      sign.py      signing in and out
home.py       the catalogue, a kind's form   tasks.py      the table of tasks, a task's own page
queues.py     queues and workers             schedules.py  tasks that come by themselves
timeline.py   a task's life as a list
"""

from server.web.ui import home, queues, schedules, sign, tasks
from server.web.ui.blueprint import ui

__all__ = ["home", "queues", "schedules", "sign", "tasks", "ui"]
