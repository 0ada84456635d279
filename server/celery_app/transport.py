"""kombu's Redis transport, with a fetch that cannot lose messages.

Stock kombu removes a message with `BRPOP`, and the worker then adds it to `unacked`. If the worker is killed in
between, the message is lost: 13 tasks in 50 kills of a busy worker (celery/kombu#1163, celery/celery#5935). Here one
script does both. A script cannot block, so a worker without messages blocks on a notification list, to which each
publish adds a token. A lost token delays a message by up to a second; it never loses one.
"""

import hashlib
import json
import secrets
import threading
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from queue import Empty
from time import monotonic
from typing import Any, cast

from kombu.exceptions import InconsistencyError
from kombu.transport import redis as stock
from kombu.transport.virtual import QoS as VirtualQoS
from redis.exceptions import NoScriptError, ResponseError

from server.celery_app.message import build, priority_of
from server.store import Store
from server.store.connection import UNREACHABLE, Parser
from server.store.errors import StorageFull
from server.store.lua import source
from server.store.record import PRIORITIES

#: One in this number of fetches reads the low priority first, so that it is not starved.
LOW_FIRST_EVERY = 10

#: Milliseconds before a reply to `celery inspect` is deleted if its client is gone; clients ask for it in `expires`.
REPLY_EXPIRES = 10_000

#: Seconds to block on the notification list.
NOTIFICATION_TIMEOUT = 1

#: Set when the worker shuts down: it fetches no more messages.
_stopped = threading.Event()


def stop_fetching() -> None:
    _stopped.set()


def lists_to_read(queues: Sequence[str], fetches: int) -> list[str]:
    """Return queue and priority of each list in the order in which the fetch of this number reads them."""
    order = PRIORITIES if fetches % LOW_FIRST_EVERY else PRIORITIES[::-1]
    return [word for priority in order for name in queues for word in (name, priority)]


class QoS(stock.QoS):
    """Acknowledgements. The fetch adds messages to `unacked`; maintenance returns stale ones."""

    restore_at_shutdown = False

    def append(self, message: Any, delivery_tag: str) -> None:
        """Keep the message; stock kombu adds it to `unacked` only here, which is too late."""
        cast(Any, VirtualQoS).append(self, message, delivery_tag)

    def restore_visible(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: maintenance returns stale messages, and takes outages into account."""

    def restore_unacked(self, client: Any = None) -> None:
        """Do nothing; stock kombu returns all unacked messages when a channel closes, even of running tasks.

        After a lost connection this ran 5 of 5 tasks a second time in parallel, and with a garbage-collected client it
        ended the worker with `CRITICAL Unrecoverable error` in 8 of 8 restarts of Redis (celery/celery#6984). A message
        whose task runs stays in `unacked`; maintenance returns the others when they are stale.
        """
        self._delivered.clear()

    def ack(self, delivery_tag: str) -> None:
        """Acknowledge a message. Stock kombu uses the channel, which is gone if the connection was lost."""
        if not getattr(self._delivered.get(delivery_tag), "forgotten", False):
            with suppress(*UNREACHABLE):  # it becomes stale, and is then dropped, because its task has ended
                self.channel.store.leases.forget_message(delivery_tag)
        cast(Any, VirtualQoS).ack(self, delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Drop a message, or return it to its queue, behind the messages that wait for their first attempt."""
        if requeue:
            with suppress(*UNREACHABLE):
                self.channel.store.leases.restore_messages([delivery_tag], to_back=True)
            cast(Any, VirtualQoS).ack(self, delivery_tag)
        else:
            self.ack(delivery_tag)


def _message(reply: list[bytes]) -> tuple[str, dict[str, Any]]:
    """Return the queue and the message of `fetch_message.lua`'s answer, for a plain Celery task or a task type."""
    if len(reply) == 2:
        return reply[0].decode(), json.loads(reply[1])
    queue, task_id, tag, task_type, priority = (word.decode() for word in reply)
    return queue, build(task_id, tag, task_type, queue, priority)


@lru_cache(maxsize=8)
def _hash(script: str) -> str:
    """Return the name by which Redis knows a script that it has."""
    return hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()


class SafeFetch:
    """A mixin for kombu's Redis channels, plain and Sentinel."""

    QoS = QoS
    #: kombu copies the store from `broker_transport_options`.
    store: Store
    _fetches_next = True  # whether to fetch next, or to wait for a notification
    _loaded = False  # whether Redis has the script, so that its hash is enough
    _fetches = 0

    def _brpop_start(self: Any, timeout: float | None = None) -> None:
        queues = self._queue_cycle.consume(len(self.active_queues))
        if not queues or _stopped.is_set():
            return
        connection = self.client.connection
        self._in_poll = connection
        self._brpop_sent_at = monotonic()
        if self._fetches_next:
            self._fetches += 1
            lists = lists_to_read(queues, self._fetches)
            fetch = source("fetch_message", self.store.settings)
            script = ("EVALSHA", _hash(fetch)) if self._loaded else ("EVAL", fetch)
            connection.send_command(*script, 0, secrets.token_hex(4), *lists)
        else:
            connection.send_command(
                "BRPOP", *(self.store.keys.notify_list(name) for name in queues), NOTIFICATION_TIMEOUT
            )

    def _brpop_read(self: Any, **options: Any) -> bool:
        fetched, self._fetches_next = self._fetches_next, True
        try:
            reply = self.client.parse_response(self.client.connection, "EVAL" if fetched else "BLPOP", **options)
        except self.connection_errors:
            self.client.connection.disconnect()
            raise
        except NoScriptError as error:  # Redis was restarted: send the whole script next
            self._loaded = False
            raise Empty() from error
        except ResponseError as error:  # for example a replica that has just been the master
            raise InconsistencyError(str(error)) from error
        finally:
            self._in_poll = None
            self._flush_brpop_reauth()
        if not fetched:
            raise Empty()
        self._loaded = True
        if not reply:
            self._fetches_next = False
            raise Empty()
        queue, message = _message(reply)
        self._received(queue, message)
        self._queue_cycle.rotate(queue)
        self.connection._deliver(message, queue)
        return True

    def _received(self: Any, queue: str, message: dict[str, Any]) -> None:
        """Forget a message whose consumer does not acknowledge, as of `celery inspect`; keep a queue from expiring."""
        if queue in self.__dict__.get("_without_ack", ()):
            self.store.leases.forget_message(message["properties"]["delivery_tag"])
        self._maybe_update_queues_expire(self.store.redis, queue)

    def _get(self: Any, queue: str) -> dict[str, Any]:
        """Fetch one message without a consumer, as `celery amqp basic.get` does."""
        fetch = source("fetch_message", self.store.settings)
        reply = self.store.redis.eval(fetch, 0, secrets.token_hex(4), *lists_to_read([queue], 1))
        self._maybe_update_queues_expire(self.store.redis, queue)
        if not reply:
            raise Empty()
        return _message(reply)[1]

    def basic_get(self: Any, queue: str, no_ack: bool = False, **kwargs: Any) -> Any:
        message = super().basic_get(queue, no_ack=no_ack, **kwargs)  # type: ignore[misc]
        if message is not None and no_ack:
            self.store.leases.forget_message(message.delivery_tag)
        return message

    def basic_consume(self: Any, queue: str, no_ack: bool, *args: Any, **kwargs: Any) -> None:
        """Note the queues whose consumers do not acknowledge."""
        without_ack: set[str] = self.__dict__.setdefault("_without_ack", set())
        (without_ack.add if no_ack else without_ack.discard)(queue)
        super().basic_consume(queue, no_ack, *args, **kwargs)  # type: ignore[misc]

    def _put(self: Any, queue: str, message: dict[str, Any], **kwargs: Any) -> None:
        """Publish a message without a record: a user's own Celery task, or a reply to `celery inspect`.

        Replies have kombu's default priority, 0, but clients with stock kombu do not read our list for it.
        """
        reply = queue.endswith(".pidbox")
        priority = "normal" if reply else priority_of(self._get_message_priority(message, reverse=False))
        expires = self._expires.get(queue, REPLY_EXPIRES if reply else "")
        with self.conn_or_acquire() as client:
            client.eval(
                source("publish_message", self.store.settings), 0, queue, priority, json.dumps(message), expires
            )

    def _delete(self: Any, queue: str, *args: Any, **kwargs: Any) -> None:
        super()._delete(queue, *args, **kwargs)  # type: ignore[misc]
        self.store.redis.delete(self.store.keys.notify_list(queue))

    def _queue_bind(self: Any, *args: Any) -> None:
        """Store a binding. If Redis is at `maxmemory` the worker starts without it, in order to free memory."""
        with suppress(StorageFull):
            super()._queue_bind(*args)  # type: ignore[misc]

    def close(self: Any) -> None:
        """Close immediately; stock kombu waits for the answer of `BRPOP` and delivers it into a closing channel."""
        if self._in_poll and self._fetches_next:
            self._give_back_fetched()
        self._in_poll = None
        super().close()  # type: ignore[misc]

    def _give_back_fetched(self: Any) -> None:
        try:
            reply = self.client.parse_response(self.client.connection, "EVAL")
            if reply:
                self.store.leases.restore_messages([_message(reply)[1]["properties"]["delivery_tag"]])
        except (*self.connection_errors, *UNREACHABLE, ResponseError):
            pass  # it is in `unacked`: maintenance returns it

    def _create_client(self: Any, asynchronous: bool = False) -> Any:
        """Create one client per channel; stock kombu creates one per publish (0.2 ms of CPU)."""
        if asynchronous:
            return super()._create_client(asynchronous=True)  # type: ignore[misc]
        if "_publisher" not in self.__dict__:
            self._publisher = super()._create_client()  # type: ignore[misc]
        return self._publisher

    def _connparams(self: Any, asynchronous: bool = False) -> dict[str, Any]:
        """Treat Redis's "not now" as a lost connection here, too; stock Celery ends the worker."""
        params: dict[str, Any] = super()._connparams(asynchronous)  # type: ignore[misc]
        return {**params, "parser_class": Parser}

    def _get_pool(self: Any, asynchronous: bool = False) -> Any:
        """Use the store's pool for all but the connections that listen; stock has a pool in each channel."""
        pool = super()._get_pool(asynchronous)  # type: ignore[misc]
        return pool if asynchronous else self.store.redis.connection_pool

    def _disconnect_pools(self: Any) -> None:
        self.__dict__.pop("_publisher", None)
        self._pool = None  # the store's: other threads use it
        super()._disconnect_pools()  # type: ignore[misc]


class Channel(SafeFetch, stock.Channel):  # type: ignore[misc]
    from_transport_options: Any = (*stock.Channel.from_transport_options, "store")


class SentinelChannel(SafeFetch, stock.SentinelChannel):  # type: ignore[misc]
    from_transport_options: Any = (*stock.SentinelChannel.from_transport_options, "store")


class Transport(stock.Transport):
    Channel = Channel


class SentinelTransport(stock.SentinelTransport):
    Channel = SentinelChannel
