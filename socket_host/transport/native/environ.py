"""The WSGI environment that describes a client to its handlers."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from socket_host.transport.native.aiohttp_request import request_of
from socket_host.transport.native.head import Head


def _after_loading(name: str, *, changes: bool = False) -> Any:
    """Return a method of `dict` that first parses the request."""
    method: Callable[..., Any] = getattr(dict, name)

    def loaded(self: Environ, *args: Any, **options: Any) -> Any:
        self._load()
        self._changed = self._changed or changes
        return method(self, *args, **options)

    loaded.__name__ = name
    loaded.__doc__ = method.__doc__
    return loaded


class Environ(dict[str, Any]):
    """The WSGI environment of a client's first request, with the keys that python-engineio adds.

    It is parsed when first used. `compact` drops the parsed form, and keeps only the request's
    bytes, because parsed headers take more memory than everything else about an idle client.
    """

    __slots__ = ("_changed", "_head", "_loaded", "_raw", "address", "peer")

    def __init__(self, head: Head, peer: Any) -> None:
        self._head: Head | None = head
        self._raw = head.raw
        self.peer = peer
        self.address = b""  # the address that the client's connections count for, if any
        self._loaded = False
        self._changed = False

    def compact(self) -> None:
        """Drop the parsed form, unless it has been changed."""
        self._head = None
        if self._loaded and not self._changed:
            self._loaded = False
            dict.clear(self)

    @property
    def head(self) -> Head:
        """The request itself."""
        return self._head or Head(self._raw)

    def _load(self) -> None:
        if not self._loaded:
            self._loaded = True
            dict.update(self, _wsgi(self.head, self.peer))

    def __getitem__(self, key: str) -> Any:
        # A shortcut for single headers: for every client, the host reads the cookie and no more.
        if not self._loaded and self._head is not None and key.startswith("HTTP_"):
            value = self._head.headers.get(key[5:].replace("_", "-").lower())
            if value is not None:
                return value
            raise KeyError(key)
        self._load()
        return dict.__getitem__(self, key)

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a key, or the default if there is none."""
        try:
            return self[key]
        except KeyError:
            return default

    def __reduce__(self) -> Any:
        return dict, (self.copy(),)

    __contains__ = _after_loading("__contains__")
    __eq__ = _after_loading("__eq__")
    __ne__ = _after_loading("__ne__")
    __iter__ = _after_loading("__iter__")
    __len__ = _after_loading("__len__")
    __or__ = _after_loading("__or__")
    __ror__ = _after_loading("__ror__")
    __repr__ = _after_loading("__repr__")
    __reversed__ = _after_loading("__reversed__")
    copy = _after_loading("copy")
    items = _after_loading("items")
    keys = _after_loading("keys")
    values = _after_loading("values")
    __delitem__ = _after_loading("__delitem__", changes=True)
    __ior__ = _after_loading("__ior__", changes=True)
    __setitem__ = _after_loading("__setitem__", changes=True)
    clear = _after_loading("clear", changes=True)
    pop = _after_loading("pop", changes=True)
    popitem = _after_loading("popitem", changes=True)
    setdefault = _after_loading("setdefault", changes=True)
    update = _after_loading("update", changes=True)


def _wsgi(head: Head, peer: Any) -> dict[str, Any]:
    address, port = peer[:2] if isinstance(peer, tuple) else ("", 0)
    request = request_of(head, peer)
    environ = {
        "wsgi.input": request.content,
        "wsgi.errors": sys.stderr,
        "wsgi.async": True,
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "aiohttp.request": request,
        "SERVER_SOFTWARE": "aiohttp",
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
