"""Celery's settings, by Celery's own names. What can be set lies in `server/settings.py`."""

from urllib.parse import urlsplit

from server.connections import parse_sentinel
from server.settings import settings

_settings = settings()
_broker_url = _settings.celery_broker_url or _settings.redis_url

# -- where messages and results lie
broker_url = _broker_url
if _settings.broker_is_redis:
    broker_transport = (
        "server.broker.transport:SentinelTransport"
        if urlsplit(_broker_url).scheme == "sentinel"
        else "server.broker.transport:Transport"
    )
    broker_transport_options = {
        "priority_steps": [0, 1, 2],
        # The fetch blocks one second at a time; a Redis that is silent for longer is gone.
        "socket_timeout": 5,
        "socket_connect_timeout": 1,
        "socket_keepalive": True,
        "health_check_interval": 5,
    }
    if urlsplit(_broker_url).scheme == "sentinel":
        _sentinel = parse_sentinel(_broker_url)
        broker_url = _sentinel.for_kombu
        broker_transport_options["master_name"] = _sentinel.master
        broker_transport_options["sentinel_kwargs"] = {"socket_timeout": 1, "socket_connect_timeout": 1}
    if urlsplit(_broker_url).scheme == "rediss":
        broker_use_ssl = {
            "ssl_cert_reqs": "required" if _settings.redis_tls_verify else "none",
            "ssl_check_hostname": _settings.redis_tls_verify,
        }
else:
    task_default_queue_type = "quorum"
    task_create_missing_queue_type = "quorum"
    broker_transport_options = {"confirm_publish": True}
    broker_connection_timeout = 4
    broker_heartbeat = 10
result_backend = "server.broker.backend:RecordBackend"

# -- messages: JSON and nothing else, no traffic that nobody reads
accept_content = ["json"]
task_serializer = "json"
result_serializer = "json"
task_default_queue = "default"
task_routes = ("server.registry.route",)
task_default_exchange = ""
task_default_priority = 1
task_create_missing_queues = True
worker_send_task_events = False

# -- a task is acknowledged when it has ended, and says that it has started
task_acks_late = True
task_track_started = True
task_acks_on_failure_or_timeout = True
task_reject_on_worker_lost = False  # a lost child is `server.worker.request`'s: it counts, and gives back at once

# -- the worker
worker_concurrency = _settings.worker_concurrency
worker_consumer = "server.worker.consumer:Consumer"
worker_prefetch_multiplier = 1
worker_disable_prefetch = _settings.broker_is_redis  # a task waits in the queue, not behind another on a worker
worker_cancel_long_running_tasks_on_connection_loss = False  # it leaves them REVOKED for ever
broker_connection_retry_on_startup = True
broker_connection_max_retries = None  # a worker outlives any outage
worker_hijack_root_logger = False
worker_redirect_stdouts = False
enable_utc = True
