"""How much each part measures: the short form and the full one."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Plan:
    """Rounds are interleaved: each set-up once, then all of them again."""

    name: str
    rounds: int
    seconds: float
    """Duration of the load on one route of one set-up in one round."""
    drained: int
    """Tasks for one worker in one round."""
    latencies: int
    pictures: int
    """How often each image is made, once per round."""
    uploads: int
    waiting_clients: int
    records: tuple[int, ...]


SHORT = Plan("short", 3, 2, 2_000, 100, 5, 20, 200, (1_000, 100_000))
FULL = Plan("full", 5, 5, 4_000, 1_000, 9, 50, 500, (1_000, 100_000, 1_000_000))
SMALLEST = Plan("smallest", 1, 1, 100, 10, 1, 3, 20, (100,))
