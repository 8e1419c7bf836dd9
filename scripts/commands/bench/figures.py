"""The figures: the values of all rounds, their medians and ratios."""

import statistics
from collections import defaultdict
from collections.abc import Mapping
from typing import Self

REFERENCE = "node"  # the server that the others are compared with


class Figures:
    """The values measured so far, by measure and server."""

    def __init__(self) -> None:
        self.values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))

    @classmethod
    def of(cls, values: Mapping[str, Mapping[str, list[float]]]) -> Self:
        """Return the figures of values measured earlier."""
        figures = cls()
        for name, by_server in values.items():
            figures.values[name].update(by_server)
        return figures

    def add(self, server: str, values: Mapping[str, float]) -> None:
        """Add the values of one round."""
        for name, value in values.items():
            self.values[name][server].append(value)

    def median(self, name: str, server: str) -> float | None:
        """Return the median of a value over the rounds, or None if it was not measured."""
        values = self.values[name][server] if name in self.values else []
        return statistics.median(values) if values else None

    def ratio(self, name: str, server: str, reference: str = "") -> float | None:
        """Return the median of a value as a multiple of Node's, or of another value of Node's."""
        return _quotient(self.median(name, server), self.median(reference or name, REFERENCE))

    def spread(self, name: str, server: str) -> float:
        """Return the range of the rounds, as a share of their median."""
        values = self.values[name][server]
        return (max(values) - min(values)) / statistics.median(values)

    def lost(self, server: str) -> float:
        """Return how many messages were lost or duplicated, in all rounds."""
        return sum(
            sum(by_server[server])
            for name, by_server in self.values.items()
            if name.endswith("-lost") and server in by_server
        )

    def servers(self) -> list[str]:
        """Return the servers, in the order in which they were measured."""
        return list(dict.fromkeys(s for by_server in self.values.values() for s in by_server))


def _quotient(value: float | None, by: float | None) -> float | None:
    return value / by if value is not None and by else None
