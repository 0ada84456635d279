"""Blobs in Redis, the default: web and worker need no other shared storage.

A blob is one hash: its chunks under 0, 1, 2…, each of CHUNK_BYTES except the last, and "meta": "<bytes>:<version>". Not
one string, because a string is limited to 512 MB and moves in memory when APPEND extends it; not one key per chunk,
because one key expires, is renamed, copied and deleted in one step.
"""

import io
import secrets
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, cast

import redis as redis_py
from redis.exceptions import ConnectionError, NoScriptError, RedisError, TimeoutError

from server.store.blobs.base import CHUNK_BYTES, IDLE_SECONDS, BlobWriter, clip, split_key, split_prefix
from server.store.connection.bulk import Field, read_fields, store_fields
from server.store.errors import BlobMissing, StorageFull
from server.store.keys import Keys
from server.store.lua.key_names import with_keys

# Keys, see `Keys.blob`:
#   data:<task id>/<name>  hash, the blob         new:<token>  hash, chunks of a blob that is being written; expires
#   names:<task id>        set, names of blobs    tasks        sorted set, task id by newest change in unix seconds
#   bytes     string, bytes of all blobs, with those that are being written
#   writers   sorted set, token by the time in unix seconds at which its writer counts as dead
#   reserved  hash, token to the bytes of its writer, which are a part of `bytes`

#: Chunks per read: 2 MB read one by one took a third longer. Chunks per write, which each upload has in memory.
_READ_AT_ONCE, _WRITTEN_AT_ONCE = 4, 2

# Each script is one atomic step, and may be sent twice, because the client repeats a command whose answer was lost. A
# script that frees memory begins with a command that Redis allows at `maxmemory`, which permits the other commands too.
# Sizes are passed on as strings, because Lua writes large numbers as 1e+15.
_LUA = """
local DATA, NEW, NAMES, TASKS = keys.blob('data:'), keys.blob('new:'), keys.blob('names:'), keys.blob('tasks')
local BYTES, WRITERS, RESERVED = keys.blob('bytes'), keys.blob('writers'), keys.blob('reserved')
local call = redis.call
local time = call('TIME')
local now = time[1] .. '.' .. string.format('%06d', time[2])
local function size_of(meta) return meta and string.match(meta, '^%d+') or '0' end
local function drop(token)
    call('UNLINK', NEW .. token)
    call('ZREM', WRITERS, token)
    local reserved = call('HGET', RESERVED, token)
    if reserved then call('DECRBY', BYTES, reserved) end
    call('HDEL', RESERVED, token)
end
local function collect()
    for _, token in ipairs(call('ZRANGEBYSCORE', WRITERS, '-inf', now, 'LIMIT', 0, 100)) do drop(token) end
end
local function fits(bytes, max)
    return max == '' or tonumber(call('GET', BYTES) or '0') + bytes <= tonumber(max)
end
local function enter(task_id, name)
    call('SADD', NAMES .. task_id, name)
    call('ZADD', TASKS, now, task_id)
end
local function is_committed(task_id, name, meta)
    return call('HGET', DATA .. task_id .. '/' .. name, 'meta') == meta
end
local function commit(token, chunks, task_id, name, meta)
    if is_committed(task_id, name, meta) then return 'OK' end
    local new, data = NEW .. token, DATA .. task_id .. '/' .. name
    if call('HLEN', new) ~= tonumber(chunks) then return 'GONE' end
    local old = call('HGET', data, 'meta')
    call('HSET', new, 'meta', meta)
    call('PERSIST', new)
    call('UNLINK', data)
    call('RENAME', new, data)
    call('DECRBY', BYTES, size_of(old))
    call('ZREM', WRITERS, token)
    call('HDEL', RESERVED, token)
    enter(task_id, name)
    return 'OK'
end
"""

# token, bytes before these chunks, bytes of them, number of chunks with them, max bytes or '', idle seconds; with the
# last chunks also task id, name and meta, to commit -> OK, FULL, GONE
# It follows the chunks' HSET and EXPIRE in one transaction. With a chunk as an argument of the script, 2 MB took
# Redis 2.6 ms instead of 1.6, because Lua copies and hashes each string argument.
_PUT = """
local token, before, bytes, chunks, max, idle, task_id, name, meta = unpack(ARGV)
local new = NEW .. token
if meta and is_committed(task_id, name, meta) then call('UNLINK', new) return 'OK' end
if tonumber(call('HGET', RESERVED, token) or '0') > tonumber(before) then return 'OK' end
if before == '0' then collect() end
if call('HLEN', new) ~= tonumber(chunks) then call('UNLINK', new) return 'GONE' end
if not fits(bytes, max) then return 'FULL' end
call('ZADD', WRITERS, time[1] + idle, token)
call('HINCRBY', RESERVED, token, bytes)
call('INCRBY', BYTES, bytes)
return meta and commit(token, chunks, task_id, name, meta) or 'OK'
"""

# source key, target's task id, target's name, max bytes or '' -> OK, FULL, GONE
_COPY = """
local source, task_id, name, max = unpack(ARGV)
local target = task_id .. '/' .. name
local meta = call('HGET', DATA .. source, 'meta')
if not meta then return 'GONE' end
if source == target then return 'OK' end
local old = call('HGET', DATA .. target, 'meta')
if not fits(size_of(meta) - size_of(old), max) then return 'FULL' end
call('COPY', DATA .. source, DATA .. target, 'REPLACE')
call('INCRBY', BYTES, size_of(meta))
call('DECRBY', BYTES, size_of(old))
enter(task_id, name)
return 'OK'
"""

# task id, beginning of the names -> number deleted
_DELETE = """
local task_id, start = unpack(ARGV)
local number = 0
for _, name in ipairs(call('SMEMBERS', NAMES .. task_id)) do
    if string.sub(name, 1, #start) == start then
        local data = DATA .. task_id .. '/' .. name
        local size = size_of(call('HGET', data, 'meta'))
        number = number + call('UNLINK', data)
        call('SREM', NAMES .. task_id, name)
        call('DECRBY', BYTES, size)
    end
end
if call('EXISTS', NAMES .. task_id) == 0 then call('ZREM', TASKS, task_id) end
return number
"""


class RedisBlobs:
    """The blob store in Redis. Errors of Redis are not converted (`server.store.connection`)."""

    def __init__(
        self, redis: redis_py.Redis, keys: Keys, max_bytes: int | None = None, idle_seconds: int = IDLE_SECONDS
    ) -> None:
        """Create the store; `max_bytes` limits the sum of all blobs, None means no limit.

        Raises:
            ValueError: the client decodes answers.
        """
        if redis.connection_pool.connection_kwargs.get("decode_responses"):
            raise ValueError("RedisBlobs needs a Redis client with decode_responses=False: blobs are bytes.")
        self._redis = redis
        self._keys = keys
        self._max = "" if max_bytes is None else str(max_bytes)
        self._idle = idle_seconds
        self._scripts: dict[str, Any] = {  # redis-py's, which may have a text of bytes
            name: redis.register_script(with_keys(keys, _LUA + body))
            for name, body in {
                "put": _PUT,
                "commit": "return commit(unpack(ARGV))",  # token, number of chunks, task id, name, meta -> OK, GONE
                "copy": _COPY,
                "delete": _DELETE,
                "drop": "drop(ARGV[1])",
                "collect": "collect()",
            }.items()
        }

    def writer(self, key: str) -> BlobWriter:
        return _RedisWriter(self, key)

    def size(self, key: str) -> int:
        return _size(self._meta(key))

    def read(self, key: str, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        meta = self._meta(key)
        start, stop = clip(_size(meta), start, stop)
        return self._pieces(key, meta, start, stop)

    def load(self, key: str) -> bytes:
        meta = self._meta(key)
        whole = io.BytesIO(bytes(_size(meta)))
        self._fill(key, meta, whole)
        return whole.getvalue()  # not a copy, because nothing refers to its buffer any more

    def _fill(self, key: str, meta: bytes, whole: io.BytesIO) -> None:
        with whole.getbuffer() as buffer:
            chunks = range(-(-len(buffer) // CHUNK_BYTES))
            for first in chunks[::_READ_AT_ONCE]:
                names = ["meta", *map(str, chunks[first : first + _READ_AT_ONCE])]
                part = buffer[first * CHUNK_BYTES :][: _READ_AT_ONCE * CHUNK_BYTES]
                if not read_fields(self._redis, self._keys.blob(f"data:{key}"), names, meta, part):
                    raise BlobMissing(key)

    def copy(self, source: str, target: str) -> None:
        split_key(source)
        self.run("copy", source, source, *split_key(target), self._max)

    def delete(self, prefix: str) -> int:
        return int(self.run("delete", prefix, *split_prefix(prefix)))

    def prefixes(self) -> Iterator[tuple[str, float]]:
        self.run("collect", "")
        for task_id, changed in self._redis.zscan_iter(self._keys.blob("tasks")):
            yield task_id.decode(), float(changed)

    def bytes_held(self) -> int:
        """Return the bytes of all blobs, including unfinished ones, which `max_bytes` limits."""
        return int(self._redis.get(self._keys.blob("bytes")) or 0)

    def put(self, key: str, token: str, index: int, fields: Sequence[Field], last: Sequence[str] = ()) -> None:
        """Store the next chunks of an unfinished blob; `last`: task id, name and meta, to commit it in the same step.

        StorageFull; BlobMissing: its writer was considered dead.
        """
        new, size = self._keys.blob(f"new:{token}"), sum(len(piece) for _, pieces in fields for piece in pieces)
        args: tuple[str | int, ...] = (
            token,
            index * CHUNK_BYTES,
            size,
            index + len(fields),
            self._max,
            self._idle,
            *last,
        )
        script = self._scripts["put"]

        def store(*call: str | bytes) -> Any:
            return store_fields(self._redis, new, fields, [("EXPIRE", new, self._idle), (*call, 0, *args)])

        try:
            answer = store("EVALSHA", script.sha)
        except NoScriptError:
            answer = store("EVAL", script.script)
        self._check(answer, key)

    def run(self, script: str, key: str, *args: str | int) -> Any:
        """Run one atomic step.

        StorageFull: over the limit, or Redis is at `maxmemory`. BlobMissing(key): it does not exist.
        """
        text = self._scripts[script]
        try:
            answer = self._redis.evalsha(text.sha, 0, *args)
        except NoScriptError:
            answer = self._redis.eval(text.script, 0, *args)
        return self._check(answer, key)

    def _check(self, answer: Any, key: str) -> Any:
        if answer == b"FULL":
            raise StorageFull
        if answer == b"GONE":
            raise BlobMissing(key)
        return answer

    def _meta(self, key: str) -> bytes:
        split_key(key)
        meta = self._redis.hget(self._keys.blob(f"data:{key}"), "meta")
        if meta is None:
            raise BlobMissing(key)
        return cast(bytes, meta)

    def _pieces(self, key: str, meta: bytes, start: int, stop: int) -> Iterator[bytes]:
        while start < stop:
            first, last = start // CHUNK_BYTES, (stop - 1) // CHUNK_BYTES
            for chunk in self._chunks(key, meta, range(first, min(first + _READ_AT_ONCE, last + 1))):
                piece = chunk[start % CHUNK_BYTES :][: stop - start]
                start += len(piece)
                yield piece

    def _chunks(self, key: str, meta: bytes, indexes: Sequence[int]) -> list[bytes]:
        now, *chunks = self._redis.hmget(self._keys.blob(f"data:{key}"), ["meta", *map(str, indexes)])
        if now != meta or None in chunks:
            # Deleted or replaced: continuing would mix two blobs.
            raise BlobMissing(key)
        return cast(list[bytes], chunks)


class _RedisWriter(BlobWriter):
    gathered = _WRITTEN_AT_ONCE * CHUNK_BYTES

    def __init__(self, store: RedisBlobs, key: str) -> None:
        super().__init__()
        self._store = store
        self._key = key
        self._task_id, self._name = split_key(key)
        self._token = secrets.token_hex(12)
        self._chunks = self._bytes = 0
        self._unreachable = False

    def _put(self, pieces: list[memoryview], *, last: bool = False) -> None:
        fields = _fields(self._chunks, pieces)
        self._bytes += sum(map(len, pieces))
        try:
            self._store.put(self._key, self._token, self._chunks, fields, self._committed if last else ())
        except (ConnectionError, TimeoutError):
            self._unreachable = True
            raise
        self._chunks += len(fields)

    def _commit(self, pieces: list[memoryview]) -> None:
        if pieces:
            self._put(pieces, last=True)
        else:
            self._store.run("commit", self._key, self._token, self._chunks, *self._committed)

    @property
    def _committed(self) -> tuple[str, str, str]:
        return self._task_id, self._name, f"{self._bytes}:{self._token}"

    def _discard(self) -> None:
        if self._unreachable:
            return  # a client waits for its 503; cleanup deletes the idle rest
        with suppress(RedisError):
            self._store.run("drop", self._key, self._token)


def _fields(first: int, pieces: Sequence[memoryview]) -> list[Field]:
    """Split pieces into chunks of CHUNK_BYTES, without a copy; the chunks are numbered from `first`."""
    chunks: list[list[memoryview]] = []
    free = 0
    for piece in pieces:
        rest = piece
        while rest:
            if not free:
                chunks.append([])
                free = CHUNK_BYTES
            part, rest = rest[:free], rest[free:]
            chunks[-1].append(part)
            free -= len(part)
    return list(enumerate(chunks, first))


def _size(meta: bytes) -> int:
    return int(meta.partition(b":")[0])
