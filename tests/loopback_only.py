"""For servers that are sent anything at all: whatever address a client names, nothing leaves this machine.

Imported by the web and worker processes as one of `TASK_MODULES`; it registers no task.
"""

import socket
from typing import Any

_look_up = socket.getaddrinfo


def _look_up_here(host: Any, *args: Any, **kwargs: Any) -> Any:
    if host in ("127.0.0.1", "localhost"):
        return _look_up(host, *args, **kwargs)
    raise socket.gaierror(socket.EAI_NONAME, "not from here")


socket.getaddrinfo = _look_up_here
