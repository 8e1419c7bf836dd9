"""The WSGI environment that handlers know a client by."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any

from socket_host.transport.native.head import Head


class Environ(MutableMapping[str, Any]):
    """The WSGI environment of a client's first request.

    Once it has settled it is only the bytes it came in, and parsed when somebody looks: parsed,
    the headers of a browser take more memory than everything else about an idle client.
    """

    __slots__ = ("_changed", "_head", "_raw", "_values", "address", "peer")

    def __init__(self, head: Head, peer: Any) -> None:
        self._head: Head | None = head
        self._raw = head.raw
        self.peer = peer
        self.address = b""  # what the client's connections are counted by, if they are
        self._values: dict[str, Any] | None = None
        self._changed = False

    def settle(self) -> None:
        """Forget the parsed form, unless somebody has put something into it."""
        self._head = None
        if not self._changed:
            self._values = None

    @property
    def head(self) -> Head:
        """The request itself."""
        return self._head or Head(self._raw)

    def _load(self) -> dict[str, Any]:
        if self._values is None:
            self._values = _wsgi(self.head, self.peer)
        return self._values

    def __getitem__(self, key: str) -> Any:
        # The host looks at the cookie of every client, and at nothing else.
        if self._values is None and self._head is not None and key.startswith("HTTP_"):
            value = self._head.headers.get(key[5:].replace("_", "-").lower())
            if value is not None:
                return value
        return self._load()[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._changed = True
        self._load()[key] = value

    def __delitem__(self, key: str) -> None:
        self._changed = True
        del self._load()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._load())

    def __len__(self) -> int:
        return len(self._load())


def _wsgi(head: Head, peer: Any) -> dict[str, Any]:
    address, port = peer[:2] if isinstance(peer, tuple) else ("", 0)
    environ = {
        "REQUEST_METHOD": head.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": head.path,
        "QUERY_STRING": head.query,
        "RAW_URI": head.target,
        "SERVER_PROTOCOL": head.version,
        "SERVER_NAME": "aiohttp",
        "SERVER_PORT": "0",
        "REMOTE_ADDR": address,
        "REMOTE_PORT": str(port),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": head.headers.get("x-forwarded-proto", "http"),
    }
    for name, value in head.headers.items():
        key = name.upper().replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = "HTTP_" + key
        environ[key] = value
    return environ
