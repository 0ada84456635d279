"""Pages to operate the server, for admins.

overview.py   what needs attention, queues, workers; figures.py: its figures
failures.py   failed tasks by cause
"""

from server.web.ui.operate import failures, overview

__all__ = ["failures", "overview"]
