"""aiohttp's request object, which handlers may expect in the environment, as in python-engineio's.

The request has been answered, so it has a head, but no body, connection or `app`.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import HttpVersion, RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from socket_host.transport.native.head import Head


class _Protocol:
    """What aiohttp's request reads from its connection."""

    ssl_context = None
    sockname = None
    transport = None
    max_field_size = 8_190
    max_headers = 100

    def __init__(self, peername: Any) -> None:
        self.peername = peername


def request_of(head: Head, peer: Any) -> web.BaseRequest:
    """Return a request with this head, from the peer with this name."""
    headers = CIMultiDict(head.headers)
    version = HttpVersion(1, 0 if head.version == "HTTP/1.0" else 1)
    url = URL.build(path=head.path, query_string=head.query, encoded=True)
    message = RawRequestMessage(
        method=head.method,
        path=head.target,
        version=version,
        headers=CIMultiDictProxy(headers),
        raw_headers=tuple(
            (name.encode(), value.encode("utf-8", "surrogateescape"))
            for name, value in headers.items()
        ),
        should_close=False,
        compression=None,
        upgrade=head.upgrades,
        chunked=False,
        url=url,
    )
    return web.BaseRequest(
        message,
        EMPTY_PAYLOAD,
        cast(Any, _Protocol(peer)),
        cast(AbstractStreamWriter, None),
        cast("asyncio.Task[None]", None),
        cast(asyncio.AbstractEventLoop, None),
    )
