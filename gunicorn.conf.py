"""Gunicorn's settings, by Gunicorn's own names. `server/settings.py` reads the variables that users can set."""

import logging
import sys
from typing import Any

from server import logs
from server.logs import event
from server.settings import SettingsError, load
from server.store import Store
from server.store.connection import UNREACHABLE
from server.web.addresses import LOOPBACK
from server.web.gunicorn_worker.shared_counts import counts
from server.web.gunicorn_worker.worker import max_connections
from server.web.middleware import NO_KEY

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
logconfig_dict = logs.dict_config(_settings.log_level, _settings.log_format)
secure_scheme_headers: dict[str, str] = {}  # server/web/addresses.py reads the headers of TRUSTED_PROXIES
forwarder_headers = ""  # a client must not set SCRIPT_NAME


def on_starting(server: Any) -> None:
    """Stop if Redis cannot work. Say what to set if every request is refused, because no API key is configured."""
    store = Store(_settings)
    if reason := store.checks.at_start():
        sys.exit(f"coatcheck: {reason}")
    if _settings.host in LOOPBACK:
        return
    try:
        if not store.api_keys.any():
            event(logging.getLogger("server"), "keys.none", level=logging.WARNING, host=_settings.host, reason=NO_KEY)
    except UNREACHABLE:
        return  # every request is refused until Redis can return the keys
    finally:
        store.redis.close()


def child_exit(server: Any, worker: Any) -> None:
    """Reset the counts of a web process that has ended."""
    counts("waiting").set(worker.age, 0)
    counts("connections").set(worker.age, 0)
