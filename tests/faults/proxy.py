"""A proxy between the server and Redis. Like a cluster's proxy, it can answer TRYAGAIN; no single Redis does."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator

from harness import Service, eventually, free_port

#: Commands without keys, which a cluster that is moving its data answers as always.
_KEYLESS = {b"AUTH", b"CLIENT", b"HELLO", b"PING", b"PSUBSCRIBE", b"SELECT", b"SUBSCRIBE"}


class Proxy:
    """Sends the commands of a service to its Redis, or refuses those that have keys."""

    def __init__(self, service: Service) -> None:
        self._redis_port = service.redis.port
        self._port = free_port()
        self._ready = False
        self._refuses = False
        threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True).start()
        eventually(lambda: self._ready)
        service.env["REDIS_URL"] = f"redis://127.0.0.1:{self._port}/0"

    @contextlib.contextmanager
    def refusing(self, _: Service) -> Iterator[None]:
        """TRYAGAIN: the cluster behind the proxy is moving its data."""
        self._refuses = True
        try:
            yield
        finally:
            self._refuses = False

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._connected, "127.0.0.1", self._port)
        self._ready = True
        await server.serve_forever()

    async def _connected(self, client: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        replies, redis = await asyncio.open_connection("127.0.0.1", self._redis_port)
        copying = asyncio.create_task(_copy(replies, writer))
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                name, command = await _command(client)
                if self._refuses and name not in _KEYLESS:
                    writer.write(b"-TRYAGAIN Multiple keys request during rehashing of slot\r\n")
                else:
                    redis.write(command)
        copying.cancel()
        redis.close()
        writer.close()


async def _copy(replies: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await replies.read(65536):
        writer.write(data)
    writer.close()


async def _command(client: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Read one command: its name, and its bytes."""
    head = await client.readuntil(b"\r\n")
    arguments, text = [], [head]
    for _ in range(int(head[1:])):
        length = await client.readuntil(b"\r\n")
        arguments.append(await client.readexactly(int(length[1:]) + 2))
        text += [length, arguments[-1]]
    return arguments[0].strip().upper(), b"".join(text)
