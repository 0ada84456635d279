"""Gunicorn's settings, by Gunicorn's own names. `server/settings.py` reads the variables that users can set."""

import sys
from typing import Any

from server import logs
from server.settings import SettingsError, load
from server.store import Store
from server.store.connection import UNREACHABLE
from server.web.addresses import LOOPBACK
from server.web.gunicorn_worker.places import counts
from server.web.gunicorn_worker.worker import max_connections

try:
    _settings = load()
except SettingsError as error:
    sys.exit(f"coatcheck: {error}")

bind = f"[{_settings.host}]:{_settings.port}" if ":" in _settings.host else f"{_settings.host}:{_settings.port}"
workers = _settings.web_concurrency
worker_class = "server.web.gunicorn_worker.worker.LoopWorker"
logger_class = "server.web.gunicorn_worker.worker.Logger"
preload_app = True  # the processes share the memory of what is imported: 30 MB each instead of 56
threads = _settings.web_threads
worker_connections = max_connections(_settings)
timeout = 60
graceful_timeout = 25
control_socket_disable = True
logconfig_dict = logs.dict_config(_settings.log_level)
secure_scheme_headers: dict[str, str] = {}  # server/web/addresses.py reads the headers of TRUSTED_PROXIES
forwarder_headers = ""  # a client must not set SCRIPT_NAME


def on_starting(server: Any) -> None:
    """Stop if Redis cannot work, or if other machines could use the server without a key."""
    store = Store(_settings)
    if reason := store.checks.at_start():
        sys.exit(f"coatcheck: {reason}")
    if _settings.host in LOOPBACK:
        return
    try:
        open_to_all = not store.api_keys.any()
    except UNREACHABLE:
        return  # every request is refused until Redis can return the keys
    finally:
        store.redis.close()
    if open_to_all:
        sys.exit(
            f"coatcheck: HOST is {_settings.host}, and no API key is configured. Create one with "
            "`make key OWNER=you ROLE=admin` (or `coatcheck keys create --owner you --role admin`), "
            "or set HOST=127.0.0.1 to serve this machine only."
        )


def child_exit(server: Any, worker: Any) -> None:
    """Reset the count of waiting requests of a web process that has ended."""
    counts().vacate(worker.age)
