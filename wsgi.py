"""`gunicorn wsgi` serves `application`, `celery -A wsgi` runs `celery`. `server/cli/entry.py` creates both."""

import sys
from pathlib import Path
from typing import Any

# Celery puts this folder in its path only while it imports this module.
sys.path.insert(0, str(Path(__file__).parent))


def __getattr__(name: str) -> Any:
    from server.cli import entry

    return getattr(entry, name)
