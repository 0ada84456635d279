"""Figures of use: memory and connections of Redis, and bytes of inputs and files."""

from dataclasses import dataclass

from server.store.lua import Scripts


@dataclass(frozen=True, slots=True)
class RedisUsage:
    """Memory and connections of Redis. A limit of 0 means that there is none, or that Redis does not tell it."""

    memory_bytes: int
    memory_limit: int
    connections: int
    connections_limit: int


class Usage(Scripts):
    """Reads what is used."""

    def redis_usage(self) -> RedisUsage:
        """Return the memory and connections in use."""
        with self.redis.pipeline(transaction=False) as pipe:
            memory, clients = pipe.info("memory").info("clients").execute()
        return RedisUsage(
            memory.get("used_memory", 0),
            memory.get("maxmemory", 0),
            clients.get("connected_clients", 0),
            clients.get("maxclients", 0),
        )

    def stored_bytes(self) -> int:
        """Return the bytes of the inputs, uploads and outputs of all owners, as their quotas count them."""
        return int(self._call("sum_of_hash", self.keys.bytes_held))
