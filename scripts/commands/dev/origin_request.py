"""A request as the edge sends it on to an origin."""

from dataclasses import dataclass

from scripts.commands.dev.policies import Headers

MAX_BODY = 10 * 1024 * 1024  # bytes: an HTTP API's limit


@dataclass(frozen=True)
class OriginRequest:
    """What the policies forward of a viewer's request; path and query are unchanged."""

    method: str
    path: str
    query: str
    headers: Headers
    body: bytes
    viewer_address: str
    read_timeout: float  # seconds the origin may be silent
    upgrades: bool = False  # to a websocket

    @property
    def target(self) -> str:
        """The path and the query, as in the first line of a request."""
        return f"{self.path}?{self.query}" if self.query else self.path
