"""The address of a Redis or Valkey server, as a URL writes it."""

from dataclasses import dataclass, field
from typing import Self
from urllib.parse import unquote, urlsplit

SCHEMES = {"redis": False, "valkey": False, "rediss": True, "valkeys": True}  # with TLS?


@dataclass(frozen=True)
class Address:
    """The address and credentials of a Redis or Valkey server."""

    host: str
    port: int
    tls: bool
    username: str
    password: str | None = field(repr=False)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, url: str) -> Self:
        """Return the address in a URL; raise ValueError, without the URL, for any other text."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:  # such as a port that is not a number
            host = None
        # A database number may follow; channels do not depend on it.
        if not host or parts.scheme not in SCHEMES or parts.path.strip("/0123456789"):
            raise ValueError(
                "must be written redis://[[USER]:PASSWORD@]HOST[:PORT], or valkey://…, or with TLS "
                "rediss://… or valkeys://…"
            )
        return cls(
            host=host,
            port=port or 6379,
            tls=SCHEMES[parts.scheme],
            username=unquote(parts.username or "default"),
            password=None if parts.password is None else unquote(parts.password),
        )
