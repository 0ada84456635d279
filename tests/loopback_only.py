"""For servers that get arbitrary requests: it refuses every connection to another machine.

Web and worker processes import it as one of `TASK_MODULES`; it registers no task.
"""

import socket
from typing import Any

_look_up = socket.getaddrinfo


def _look_up_here(host: Any, *args: Any, **kwargs: Any) -> Any:
    if host in ("127.0.0.1", "localhost"):
        return _look_up(host, *args, **kwargs)
    raise socket.gaierror(socket.EAI_NONAME, "not from here")


socket.getaddrinfo = _look_up_here
