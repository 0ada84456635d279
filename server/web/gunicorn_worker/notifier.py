"""Receives the task changes that Redis publishes, on one connection read by the loop.

Each change of a record is published on `t:<task id>` as one message: the new status, `progress`, `log`, `output` or
`dropped`, in the script call that makes the change. A batch has such a channel, too: `counts` at a change of a
task's status, and `ended`. A subscription's `notify` is called at each message that it asked for, and once when it
becomes active: at first, and after a lost connection. A caller that then reads the record misses no change.

redis-py connects (TLS, Sentinel, passwords) in a thread; afterwards the loop reads the socket itself, so that `in_sync`
can process everything that has arrived before it answers.
"""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Callable
from typing import Any

import hiredis

from server.logs import event
from server.store.connection import UNREACHABLE
from server.store.keys import Keys

#: Seconds without a byte from Redis after which it is pinged; after as many again, the connection is renewed.
_SILENCE_TIMEOUT = 2.0

#: Seconds between two attempts to reconnect to Redis.
_RETRY = 0.5

_NOTHING_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)

log = logging.getLogger(__name__)


class Subscription:
    """Calls `notify` at each message about one task or batch that is in `messages`."""

    __slots__ = ("messages", "notify", "task_id")

    def __init__(self, task_id: str, messages: frozenset[str], notify: Callable[[], object]) -> None:
        self.task_id = task_id
        self.messages = messages
        self.notify = notify


class Notifier:
    """The subscriptions of one process. Only the loop's thread uses it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, connect: Callable[[], Any], keys: Keys) -> None:
        self._loop = loop
        self._keys = keys
        #: Returns a connected `redis.connection.Connection`; called in a thread.
        self._connect = connect
        self._subscriptions: dict[str, set[Subscription]] = {}
        #: Tasks whose subscription Redis has confirmed.
        self._confirmed: set[str] = set()
        self._task: asyncio.Task[None] | None = None
        self._connection: Any = None
        self._socket: Any = None
        self._reader = hiredis.Reader()
        self._unsent = b""
        self._lost: asyncio.Future[None] | None = None
        self._last_received = 0.0

    def subscribe(self, task_id: str, messages: frozenset[str], notify: Callable[[], object]) -> Subscription:
        """Subscribe to a task's messages; `notify` is called once no later change can be missed."""
        subscription = Subscription(task_id, messages, notify)
        others = self._subscriptions.setdefault(task_id, set())
        others.add(subscription)
        if task_id in self._confirmed:
            self._loop.call_soon(self._call, subscription)
        elif len(others) == 1:
            self._send("SUBSCRIBE", self._keys.task(task_id))
        if self._task is None:
            self._task = self._loop.create_task(self._stay_connected())
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """End a subscription. May be called repeatedly."""
        task_id = subscription.task_id
        others = self._subscriptions.get(task_id, set())
        others.discard(subscription)
        if not others and self._subscriptions.pop(task_id, None) is not None:
            self._confirmed.discard(task_id)
            self._send("UNSUBSCRIBE", self._keys.task(task_id))

    def in_sync(self, task_id: str) -> bool:
        """Read all that Redis has sent so far. Return whether that includes every change of the task until now."""
        self._read()
        return task_id in self._confirmed

    def stop(self) -> None:
        """Stop receiving messages, when the server stops."""
        if self._task is not None:
            self._task.cancel()

    # -- the connection

    async def _stay_connected(self) -> None:
        """Keep one connection to Redis open, and reconnect when it is lost."""
        while True:
            began = self._loop.time()
            try:
                connection = await self._loop.run_in_executor(None, self._connect)
            except (*UNREACHABLE, OSError) as error:
                event(log, "notifier.unreachable", level=logging.WARNING, reason=error)
            else:
                await self._listen(connection)
            await asyncio.sleep(max(0.0, began + _RETRY - self._loop.time()))

    async def _listen(self, connection: Any) -> None:
        """Listen on one connection until it breaks or falls silent."""
        self._connection, self._socket = connection, connection._sock
        self._socket.setblocking(False)
        self._reader, self._unsent = hiredis.Reader(), b""
        self._lost = lost = self._loop.create_future()
        self._last_received = self._loop.time()
        self._loop.add_reader(self._socket, self._read)
        self._send("SUBSCRIBE", self._keys.task(""), *(self._keys.task(task_id) for task_id in self._subscriptions))
        try:
            while not lost.done():
                await asyncio.wait([lost], timeout=_SILENCE_TIMEOUT / 2)
                self._check_silence()
        finally:
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._socket = self._connection = self._lost = None
            self._confirmed.clear()
            with contextlib.suppress(Exception):
                connection.disconnect()
        event(log, "notifier.lost", level=logging.WARNING)

    def _check_silence(self) -> None:
        silence = self._loop.time() - self._last_received
        if silence >= 2 * _SILENCE_TIMEOUT:
            self._disconnect()
        elif silence >= _SILENCE_TIMEOUT:
            self._send("PING")

    def _disconnect(self) -> None:
        """Drop the connection and all subscriptions that it confirmed."""
        self._confirmed.clear()
        if self._lost is not None and not self._lost.done():
            self._lost.set_result(None)

    def _send(self, *command: str) -> None:
        if self._connection is None:  # `_listen` subscribes to all channels when it connects
            return
        if not self._unsent:
            self._loop.call_soon(self._write)  # together with the other commands of this turn
        self._unsent += b"".join(self._connection.pack_command(*command))

    def _write(self) -> None:
        if self._socket is None:
            return
        try:
            sent = self._socket.send(self._unsent)
            self._unsent = self._unsent[sent:]
        except _NOTHING_NOW:
            pass
        except OSError:
            self._disconnect()
            return
        if self._unsent:
            self._loop.add_writer(self._socket, self._write)
        else:
            self._loop.remove_writer(self._socket)

    def _read(self) -> None:
        while self._socket is not None:
            try:
                data = self._socket.recv(65_536)
            except _NOTHING_NOW:
                return
            except OSError:
                data = b""
            if not data:
                self._disconnect()
                self._loop.remove_reader(self._socket)
                return
            self._last_received = self._loop.time()
            self._reader.feed(data)
            while (message := self._reader.gets()) is not False:
                self._handle(message)

    def _handle(self, message: Any) -> None:
        if not isinstance(message, list) or message[0] not in (b"message", b"subscribe"):
            return
        task_id = message[1].decode().removeprefix(self._keys.task(""))
        subscriptions = self._subscriptions.get(task_id)
        if subscriptions is None:
            return
        published = ""
        if message[0] == b"message":
            published = message[2].decode()
        else:
            self._confirmed.add(task_id)
        for subscription in list(subscriptions):
            if not published or published in subscription.messages:
                self._call(subscription)

    def _call(self, subscription: Subscription) -> None:
        try:
            subscription.notify()
        except Exception:
            event(log, "connection.failed", level=logging.ERROR, error=True)
