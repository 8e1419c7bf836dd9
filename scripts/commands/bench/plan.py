"""Plans: how much a full run measures, whose figures may be quoted, and how much a quick one."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """The sizes and lengths of a run."""

    rounds: int
    warm_up: float  # seconds before the first measurement
    seconds: float  # of each measurement under load
    sizes: tuple[int, ...]  # clients that receive a broadcast
    burst_size: int  # clients that receive sixteen at once
    pace: int  # events a second while latency is measured
    connections: int  # handshakes, upgrades, disconnects measured
    crowd: int  # idle clients
    churn: int  # clients that come and go while the crowd stays
    settle: float  # seconds for a server to free memory before it is measured
    turns: int  # in which each of two servers is first, when measured side by side
    starts: int  # of the function, for each page
    pages: int  # rendered after the first one
    # Numbers of clients on the other host, and how many messages a second they receive while
    # latency is measured: few, so that the servers are mostly idle.
    audiences: tuple[tuple[int, int], ...] = ((5, 200), (1_000, 10))


FULL = Plan(
    rounds=3,
    warm_up=2,
    seconds=2,
    sizes=(100, 1_000, 5_000),
    burst_size=1_000,
    pace=2_000,
    connections=2_000,
    crowd=10_000,
    churn=50_000,
    settle=5,
    turns=12,
    starts=7,
    pages=300,
)

QUICK = Plan(
    rounds=3,
    warm_up=2,
    seconds=0.5,
    sizes=(100, 1_000),
    burst_size=1_000,
    pace=1_000,
    connections=1_000,
    crowd=2_000,
    churn=0,
    settle=1,
    turns=2,
    starts=3,
    pages=100,
)
