"""A request as the edge sends it on to an origin."""

from dataclasses import dataclass

from scripts.commands.dev.policies import Headers

MAX_BODY = 10 * 1024 * 1024  # bytes: what an HTTP API takes at the most


@dataclass(frozen=True)
class OriginRequest:
    """What a behaviour's policies have left of a viewer's request; path and query are untouched."""

    method: str
    path: str
    query: str
    headers: Headers
    body: bytes
    viewer_address: str
    patience: float  # seconds the origin may be silent
    upgrades: bool = False  # to a websocket

    @property
    def target(self) -> str:
        """The path and the query as they stand in the first line of a request."""
        return f"{self.path}?{self.query}" if self.query else self.path
