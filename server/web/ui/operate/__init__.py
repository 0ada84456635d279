"""Pages to operate the server, for admins.

overview.py   alerts, queues, workers; figures.py: its numbers
failures.py   failed tasks by cause
keys.py       API keys
"""

from server.web.ui.operate import failures, keys, overview

__all__ = ["failures", "keys", "overview"]
