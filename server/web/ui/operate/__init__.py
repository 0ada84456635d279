"""Pages to operate the server, for admins.

overview.py   alerts, queues, workers; overview_stats.py: its numbers
failures.py   failed tasks by cause
keys.py       API keys
audit.py      who did what
"""

from server.web.ui.operate import audit, failures, keys, overview

__all__ = ["audit", "failures", "keys", "overview"]
