"""Celery's settings, by Celery's own names. Values that depend on the environment come from `server/settings.py`."""

from typing import Any
from urllib.parse import urlsplit

from server.settings import Settings
from server.store import Store
from server.store.connection import parse_sentinel


def options(store: Store) -> dict[str, Any]:
    """Return the settings of a Celery application over this store."""
    settings = store.settings
    return {
        **(_redis_broker(store) if settings.broker_is_redis else _external_broker(settings)),
        "result_backend": "server.celery_app.result_backend:RecordBackend",
        # -- messages: only JSON, and events only if a setting asks for them
        "accept_content": ["json"],
        "task_default_queue": "default",
        "task_routes": ("server.celery_app.app.route",),
        "task_default_exchange": "",
        "worker_send_task_events": settings.celery_events,
        "task_send_sent_event": settings.celery_events,
        # -- a task is acknowledged at its end, and reports its start
        "task_acks_late": True,
        "task_track_started": True,
        "task_reject_on_worker_lost": False,  # `server.celery_app.worker.request` returns the tasks of lost children
        # -- the worker
        "worker_concurrency": settings.worker_concurrency,
        "worker_consumer": "server.celery_app.worker.consumer:Consumer",
        "worker_max_memory_per_child": 1,  # see `server.celery_app.worker.child`
        "worker_prefetch_multiplier": 1,
        "worker_disable_prefetch": settings.broker_is_redis,  # a task waits in the queue, not behind another one
        "worker_cancel_long_running_tasks_on_connection_loss": False,  # it would leave them REVOKED forever
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,  # a worker outlives any outage
        "broker_channel_error_retry": True,  # a Redis at `maxmemory` does not end the worker
        "result_backend_thread_safe": True,  # otherwise each thread that waits for a result holds a connection
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
    }


def _redis_broker(store: Store) -> dict[str, Any]:
    settings = store.settings
    url = settings.redis_url
    scheme = urlsplit(url).scheme
    transport = "SentinelTransport" if scheme == "sentinel" else "Transport"
    transport_options: dict[str, Any] = {
        "store": store,
        "priority_steps": [0, 1, 2],
        # The fetch blocks one second at a time; a Redis that is silent for longer is unreachable.
        "socket_timeout": 5,
        "socket_connect_timeout": 1,
        "socket_keepalive": True,
        "health_check_interval": 5,
    }
    options: dict[str, Any] = {
        "broker_url": url,
        "broker_transport": f"server.celery_app.transport:{transport}",
        "broker_transport_options": transport_options,
        "task_default_priority": 5,  # from 0, the highest, to 9
    }
    if scheme == "sentinel":
        sentinel = parse_sentinel(url)
        options["broker_url"] = sentinel.for_kombu
        transport_options["master_name"] = sentinel.master
        transport_options["sentinel_kwargs"] = {"socket_timeout": 1, "socket_connect_timeout": 1}
    if scheme == "rediss":
        options["broker_use_ssl"] = {
            "ssl_cert_reqs": "required" if settings.redis_tls_verify else "none",
            "ssl_check_hostname": settings.redis_tls_verify,
        }
    return options


def _external_broker(settings: Settings) -> dict[str, Any]:
    return {
        "broker_url": settings.celery_broker_url,
        "task_default_priority": 1,  # on RabbitMQ, more than 4 is high
        "task_default_queue_type": "quorum",
        "task_create_missing_queue_type": "quorum",
        "broker_transport_options": {"confirm_publish": True},
        "broker_heartbeat": 10,
    }
