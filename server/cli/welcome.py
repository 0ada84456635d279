"""Waits until the server is ready, then prints its address and a first command."""

import sys
import time
import urllib.error
import urllib.request

from server.cli.processes import Stop

LIMIT = 60.0
TRY = "/tasks/divide"

# No proxy: `http_proxy` in the environment is not meant for this machine's address.
HTTP = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def welcome(host: str, port: int, stop: Stop) -> None:
    """Print the address and a first command when the server is ready, or a message after a time-out."""
    url = address(host, port)
    awaited = ["/health/ready", "/health/live"]
    deadline = time.monotonic() + LIMIT
    while not stop.asked:
        if status(url + awaited[-1]) == 200:
            awaited.pop()
        if not awaited:
            text = greeting(url, needs_key=status(url + "/catalog") == 401)
            break
        if time.monotonic() > deadline:
            text = f"\nNot ready after {LIMIT:.0f} seconds. The lines above and {url}/health/ready say why.\n"
            break
        time.sleep(0.2)  # each attempt writes a line to the web process's log
    else:
        return
    sys.stdout.write(text)
    sys.stdout.flush()


def address(host: str, port: int) -> str:
    """The base URL for this machine. A wildcard address is replaced by loopback."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def status(url: str) -> int:
    """Return the status of a GET, or 0 without an answer."""
    try:
        with HTTP.open(url, timeout=2) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    except (OSError, ValueError):
        return 0


def greeting(url: str, *, needs_key: bool) -> str:
    key = "-H 'Authorization: Bearer <your key>' " if needs_key else ""
    return (
        f"\nCoatcheck is ready at {url} (Ctrl-C stops it). In a second shell:\n\n"
        f"  curl -X POST {key}-H 'Content-Type: application/json' -d '{{\"x\": 7, \"y\": 2}}' {url}{TRY}\n\n"
        "`make key OWNER=alice ROLE=submit` and `.venv/bin/celery -A wsgi inspect active` work there too.\n"
        "\n"
    )
