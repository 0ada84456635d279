"""Large values to and from Redis without redis-py's copies, which took as long as the transfer itself."""

import builtins
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

import hiredis
import redis
from redis.exceptions import ConnectionError, ResponseError, TimeoutError

from server.store.connection import Parser
from server.store.connection.pool import with_connection

T = TypeVar("T")

Command = tuple[str | int | bytes, ...]
_SMALL = 2**14  # bytes that are cheaper to copy than to send one by one

#: A field of a hash, and the pieces of its value.
Field = tuple[int, Sequence[memoryview]]


def store_fields(client: "redis.Redis", key: str, fields: Sequence[Field], then: Sequence[Command]) -> Any:
    """Store fields of a hash and run further commands, in one transaction. Return the last command's answer.

    Raises:
        RedisError: the first error of a command.
    """
    between = _packed(("MULTI",)) + b"*%d\r\n" % (2 + 2 * len(fields)) + _values("HSET", key)
    parts: list[bytes | memoryview] = []
    for field, pieces in fields:
        length = sum(map(len, pieces))
        parts += [between + _values(field) + b"$%d\r\n" % length, *pieces]
        between = b"\r\n"
    parts.append(between + b"".join(map(_packed, [*then, ("EXEC",)])))
    if sum(map(len, parts)) < _SMALL:
        parts = [b"".join(parts)]

    def exchange(connection: Any) -> Any:
        connection.send_packed_command(parts)
        return _last_of_transaction(connection, 3 + len(then))

    return _exchange(client, exchange)


def read_fields(client: "redis.Redis", key: str, fields: Sequence[str], first: bytes, buffer: memoryview) -> bool:
    """Read fields of a hash into `buffer`, which they fill. False if one is missing, or if the first is not `first`.

    The first field is not copied.
    """

    def exchange(connection: Any) -> bool:
        connection.send_command("HMGET", key, *fields)
        with connection._sock.makefile("rb") as file:
            complete = _read_values(file, len(fields), first, buffer)
        if not complete:
            connection.disconnect()  # the rest of the answer must not be the next command's
        return complete

    return _exchange(client, exchange)


def _packed(command: Command) -> bytes:
    return cast(bytes, hiredis.pack_command(cast(Any, command)))


def _values(*values: str | int) -> bytes:
    """Pack arguments of a command, without their number."""
    return b"".join(b"$%d\r\n%b\r\n" % (len(text), text) for text in (str(value).encode() for value in values))


def _last_of_transaction(connection: Any, count: int) -> Any:
    """Read the answers to a transaction's commands and to EXEC, and return the last one in it."""
    refused: list[ResponseError] = []
    answer: Any = None
    for _ in range(count):
        try:
            answer = connection.read_response()
        except ResponseError as error:
            refused.append(error)
    for each in refused or answer:
        if isinstance(each, Exception):
            raise each
    return answer[-1]


def _read_values(file: Any, count: int, first: bytes, buffer: memoryview) -> bool:
    line = file.readline()
    if line.startswith(b"-"):
        raise Parser.parse_error(line[1:-2].decode(errors="replace"))
    if line != b"*%d\r\n" % count:
        raise ConnectionError("Redis has closed the connection.")
    first_value = file.read(_length(file.readline()) + 2)
    for _ in range(count - 1):
        length = _length(file.readline())
        if length < 0 or file.readinto(buffer[:length]) != length:
            return False
        buffer = buffer[length:]
        file.read(2)
    return not buffer and first_value[:-2] == first


def _length(line: bytes) -> int:
    """Parse the line that gives the length of a value; -1 means that there is no value."""
    return int(line[1:]) if line.startswith(b"$") else -1


def _exchange(client: "redis.Redis", exchange: Callable[[Any], T]) -> T:
    """Call `exchange` with a connection; the errors of its socket become redis-py's, which are retried."""

    def call(connection: Any) -> T:
        try:
            return exchange(connection)
        except builtins.TimeoutError as error:
            raise TimeoutError("Redis is silent.") from error
        except OSError as error:
            raise ConnectionError(f"The connection to Redis broke: {error}") from error

    return with_connection(client, call)
