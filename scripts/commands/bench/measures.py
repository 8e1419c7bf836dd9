"""The measures: the title of each figure, its unit, and the target for its ratio to Node's."""

from dataclasses import dataclass

MICROSECONDS = "µs"  # of the server's CPU time, unless the title says otherwise
MILLISECONDS = "ms"
KILOBYTES = "kB"
PER_SECOND = "/s"


@dataclass(frozen=True)
class Measure:
    """One row of the table."""

    name: str
    title: str
    unit: str = MICROSECONDS
    target: float | None = None  # largest ratio to Node's
    reference: str = ""  # Node's measure to compare with, if it is another


def find(name: str) -> Measure | None:
    """Return the measure of a value, or None if the value is only part of one."""
    kind, _, size = name.rpartition("-")
    if not size.isdigit():
        return _PLAIN.get(name)
    title, targets = _SIZED[kind]
    return Measure(name, title.format(int(size)), target=targets.get(int(size), targets.get(0)))


# By kind: the title, and the targets by number of clients; 0 stands for any other number.
_SIZED: dict[str, tuple[str, dict[int, float]]] = {
    "broadcast": ("broadcast to {:,}, per delivery", {100: 0.85, 0: 0.65}),
    "burst": ("16 broadcasts by one handler to {:,}, per delivery", {0: 0.20}),
    "crowd": ("16 of {:,} clients speak at once, per delivery", {}),
    "disconnect": ("disconnect, {:,} connected", {10_000: 0.60}),
    # From one host to clients of the other.
    "bus-message": ("a message to {:,} on the other host, both hosts' CPU", {0: 1.00}),
    "bus-delivery": ("a message to {:,}, both hosts' CPU, per delivery", {1_000: 0.75}),
    "bus-listening": ("· the listening host's part of it", {}),
    "bus-burst": ("· 16 messages by one handler", {}),
    "bus-paced": ("· at a fixed rate", {}),
    "bus-p50": ("· time to the clients, at that rate, median", {0: 1.00}),
    "bus-p99": ("· time to the clients, at that rate, 99th percentile", {0: 1.00}),
}

_PLAIN = {
    each.name: each
    for each in (
        Measure("event", "event with ack, 100 clients, each one at a time", target=0.80),
        Measure("event-rate", "· events", PER_SECOND),
        Measure("pipelined", "event with ack, 100 clients, each eight at a time", target=0.80),
        Measure("pipelined-rate", "· events", PER_SECOND),
        Measure("paced", "event with ack, at a fixed rate"),
        Measure("paced-p50", "· time to the ack, median"),
        Measure("paced-p99", "· time to the ack, 99th percentile"),
        Measure("handshake", "websocket handshake", target=0.40),
        Measure("upgrade", "polling handshake, upgraded to websocket", target=1.00),
        Measure("memory", "memory of an idle client", KILOBYTES, target=0.30),
        # Compared with Node's other figure, because its heap grows far beyond what it needs.
        Measure(
            "memory-churned",
            "memory of one after 50,000 came and went",
            KILOBYTES,
            0.30,
            reference="memory",
        ),
    )
} | {
    f"{kind}-{size}-rate": Measure(f"{kind}-{size}-rate", "· deliveries", PER_SECOND)
    for kind in ("broadcast", "burst", "crowd")
    for size in (100, 1_000, 5_000)
}
