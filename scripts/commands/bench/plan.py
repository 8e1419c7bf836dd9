"""How much is measured: the full run, whose figures may be quoted, and the quick one."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """The sizes and lengths of a run."""

    rounds: int
    warm_up: float  # seconds, before anything is measured
    seconds: float  # of each measurement under load
    sizes: tuple[int, ...]  # clients that are told the same
    burst_size: int  # clients that are told sixteen things at once
    pace: int  # events a second whose latency is measured
    connections: int  # handshakes, upgrades, disconnects measured
    crowd: int  # idle clients
    churn: int  # clients that come and go while the crowd stays
    settle: float  # seconds a server has to tidy up before its memory is read
    turns: int  # each of two servers that are measured side by side begins
    starts: int  # of the function, for each of two pages
    pages: int  # it renders after its first, warm
    # Clients that listen on another host, and how many messages a second they get while latency is
    # measured: so few that the servers are idle most of the time.
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
