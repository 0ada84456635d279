"""Pages to operate the server, for admins.

overview.py   alerts, queues, workers; figures.py: its numbers
failures.py   failed tasks by cause
"""

from server.web.ui.operate import failures, overview

__all__ = ["failures", "overview"]
