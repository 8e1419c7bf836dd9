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

    @property
    def head_size(self) -> int:
        """The bytes of the first line and the headers."""
        return len(self.method) + len(self.target) + sum(map(_size, self.headers))

    def size_of(self, name: str) -> int:
        """Return the bytes of all headers with a name, given in lower case."""
        return sum(_size(header) for header in self.headers if header[0].lower() == name)


def _size(header: tuple[str, str]) -> int:
    return sum(len(part.encode(errors="surrogateescape")) for part in header)
