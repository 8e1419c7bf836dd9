"""A pair of hosts of one kind on one Redis: a client of one emits, clients of the other receive.

Both hosts and Redis share a core, and the load generator has another, so that the time to wake up
another core is not measured.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.commands.bench.load import Conditions, Load, Reply
from scripts.commands.bench.machine import cpu_seconds
from scripts.commands.bench.redis import redis
from scripts.commands.bench.servers import Server
from scripts.commands.bench.stage import Stage, loading, serving


class Pair(Stage):
    """The two hosts and their clients; the first client emits, on the first host."""

    def __init__(self, speaking: int, listening: int, redis: int, load: Load) -> None:
        super().__init__(load, speaking, listening, redis)
        self._hosts = speaking, listening

    def costs(self, command: str) -> tuple[float, float, Reply]:
        """Return the µs of CPU of both hosts, of the receiving one, and the reply."""
        before = [cpu_seconds(pid) for pid in self._hosts]
        reply = self.load.tell(command)
        used = [cpu_seconds(pid) - each for pid, each in zip(self._hosts, before, strict=True)]
        return sum(used) * 1e6, used[1] * 1e6, reply


@contextmanager
def pair(server: Server, folder: Path, conditions: Conditions) -> Iterator[Pair]:
    """Run a Redis, two hosts and a load generator with the one client that emits.

    Raises ServerError, RedisError, CompileError or NodeError.
    """
    with (
        redis(folder) as (redis_pid, url),
        serving(server, folder, {"BUS": url}) as (speaking, first),
        serving(server, folder, {"BUS": url}) as (listening, second),
        loading(server, first, folder, conditions) as load,
    ):
        stage = Pair(speaking, listening, redis_pid, load)
        stage.grow(SPEAKERS)
        load.tell(f"speakers {SPEAKERS}")
        load.tell(f"port {second}")
        yield stage


SPEAKERS = 1
