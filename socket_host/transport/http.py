"""HTTP connections: aiohttp serves them, with limits on what a client may send and how slowly.

aiohttp's protocol buffers whatever comes in; here it is given one request at a time. This is the
only module that relies on aiohttp's internals, those of aiohttp 3.14.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

from aiohttp import web
from aiohttp.http import HttpProcessingError
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.web import RequestPayloadError
from aiohttp.web_protocol import RequestHandler, _ErrInfo

from functions.contract.bus import LOOPBACK_PATH, MAX_BYTES
from socket_host.transport.http_headers import HEADERS
from socket_host.transport.timeout_queue import TimeoutQueue

if TYPE_CHECKING:
    from aiohttp.http import RawRequestMessage
    from aiohttp.streams import StreamReader

    from socket_host.transport.connections import Connections
    from socket_host.transport.limits import Limits

IDLE_SECONDS = 75.0  # between two requests; a load balancer in front must close them sooner
_STALL_SECONDS = 30.0  # how long a client may read nothing of a response
_LINGER_SECONDS = 1.0  # how long a refused request is still read, so that the refusal arrives
_MOST_DISCARDED = 1 << 16  # bytes of it
_MOST_BEHIND = 1 << 14  # bytes that may wait behind an unanswered request
_SLICE = 1 << 12  # bytes of a chunked body that the parser gets at a time; it finds the end

_END = b"\r\n\r\n"
HEALTH = "/health"
FEW = 1 << 13  # bytes of a body that should be empty or nearly so

_SID = re.compile(r"[?&]sid=([^&]*)")


def session_id(target: str) -> str:
    """Return the session id in a request's target; empty if there is none."""
    found = _SID.search(target)
    return found[1] if found else ""


class BodyTooLargeError(RequestPayloadError):
    """A body is larger than its target allows."""


def hand_over(connection: RequestHandler) -> bytes:
    """Detach aiohttp from a connection; return the bytes that the next protocol must start with.

    aiohttp has no method for this, so it is made to believe that the connection is lost. Its
    attempt to answer the request then ends quietly.
    """
    held = connection._message_tail
    if isinstance(connection, HttpConnection):
        held = connection.take_input()
    connection.transport = None
    connection.connection_lost(None)
    return held


class HttpServer:
    """Makes the protocol of each HTTP connection, and keeps the timeouts of all of them.

    `server` is aiohttp's. `note` is called with the cause and the detail when a client is closed,
    and `most_body` returns how many bytes a body may have, given its request's target.
    """

    def __init__(
        self,
        server: web.Server,
        connections: Connections,
        limits: Limits,
        note: Callable[[str, str], None],
        most_body: Callable[[str], int],
    ) -> None:
        self.server = server
        self.connections = connections
        self.limits = limits
        self.note = note
        self._most_body = most_body
        self.requests: TimeoutQueue[HttpConnection] = TimeoutQueue(
            limits.head_time, HttpConnection.request_is_late
        )
        self.answers: TimeoutQueue[HttpConnection] = TimeoutQueue(
            _STALL_SECONDS, HttpConnection.answer_is_late
        )

    def __call__(self) -> HttpConnection:
        return HttpConnection(self)

    def body_limit(self, target: str) -> int:
        """Return how many bytes the body of a request to this target may have."""
        # The loopback handler refuses unauthorized clients before it reads their body.
        return MAX_BYTES if target == LOOPBACK_PATH else self._most_body(target)


class HttpConnection(RequestHandler):
    """aiohttp's protocol, given each request only when the one before it has been answered.

    Input that comes in the meantime waits here, and there may not be much of it: browsers and load
    balancers do not pipeline requests. A body is passed on as it arrives, up to its target's limit.
    """

    __slots__ = (
        "_allowance",
        "_body",
        "_closed",
        "_host",
        "_ignoring",
        "_input",
        "_left",
        "_lingering",
        "_peer",
        "_reserve",
        "_searched",
        "_tcp",
        "_unanswered",
        "_unsent",
    )

    def __init__(self, host: HttpServer) -> None:
        super().__init__(
            host.server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]  # aiohttp's own way to say so
            keepalive_timeout=IDLE_SECONDS,
            lingering_time=0,
            auto_decompress=False,
            max_line_size=host.limits.head,
            max_field_size=host.limits.head,
        )
        self._host = host
        self._input = b""  # not given to aiohttp yet
        self._searched = 0  # bytes of it that are known to have no end of a head
        self._body: StreamReader | None = None  # of the current request, until it is complete
        self._left = 0  # bytes of it still to come; -1 if it is chunked
        self._allowance = 0  # bytes of it that may still come
        self._unanswered = 0  # requests
        self._ignoring = False  # no more input is processed
        self._lingering = False  # a refusal is on its way to the client, which may still be sending
        self._unsent = 0  # bytes of a response that were unsent when the stall timeout began
        self._peer: bytes | None = None
        self._reserve = False
        self._closed: asyncio.Future[None] | None = None  # resolved when the connection is lost
        self._tcp: asyncio.Transport | None = None  # aiohttp drops its own when it closes it

    # Input

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first request; close if there are too many connections."""
        super().connection_made(transport)
        self._tcp = cast(asyncio.Transport, transport)
        connections = self._host.connections
        room = connections.open()
        self._reserve = connections.crowded
        self._peer = connections.hold(transport) if room else None
        self._host.requests.set(self)
        if self._peer is None:
            self._host.note("too many connections", "in total, or from one address")
            self._abort()

    def data_received(self, data: bytes) -> None:
        """Take bytes from the client; aiohttp passes none to resume with what it has buffered."""
        if self._payload_parser is not None:
            super().data_received(data)
        elif not data:
            self._parse(data)
        elif self._ignoring:
            self._discard(len(data))
        else:
            self._input = self._input + data if self._input else data
            self._advance()

    def _advance(self) -> None:
        """Pass aiohttp what it may have, and start or stop the timeout for the rest."""
        while self._input and not self._ignoring and (size := self._next()):
            data, self._input = self._input[:size], self._input[size:]
            self._searched = 0
            self._parse(data)
        if self._ignoring:
            self._input = b""
        if self._unanswered and self._body is None:
            self._host.requests.drop(self)
        elif self._input and self not in self._host.requests:
            self._host.requests.set(self)
        if len(self._input) > _MOST_BEHIND:
            self._host.note("invalid requests", "too much was sent ahead of the response")
            self._abort()

    def _next(self) -> int:
        """Return how many bytes aiohttp may have now."""
        if self._body is not None:
            return min(_SLICE if self._left < 0 else self._left, len(self._input))
        if self._unanswered:
            return 0
        self._input = self._input.lstrip(b"\r\n")  # empty lines may precede a request
        most = self._host.limits.head
        end = self._input.find(_END, max(0, self._searched - len(_END)), most + len(_END))
        if end >= 0:
            return end + len(_END)
        self._searched = len(self._input)
        if self._searched > most:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "Headers too large.")
        return 0

    def _parse(self, data: bytes) -> None:
        before = self._request_count
        if self._body is not None:
            self._left -= len(data) if self._left > 0 else 0
            self._allowance -= len(data)
        super().data_received(data)
        if begun := self._request_count - before:
            self._unanswered += begun
            self._begin_request(*self._messages[-1])
        if self._body is not None and self._body.is_eof():
            self._body = None
        elif self._body is not None and self._allowance < 0:
            self._body_is_too_large(self._body)

    def _begin_request(self, message: RawRequestMessage | _ErrInfo, body: StreamReader) -> None:
        """Check a request whose head is complete."""
        self._body = None
        if isinstance(message, _ErrInfo):
            self._ignoring = True
            return
        if body is not EMPTY_PAYLOAD:
            self._body = body
            self._left = -1 if message.chunked else int(message.headers.get("Content-Length", 0))
            self._allowance = self._host.body_limit(message.path)
            self._host.requests.set(self)
        if message.headers.get("Content-Encoding", "identity").lower() != "identity":
            self._refuse_request(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Send the body uncompressed.")
        elif self._reserve and message.path != HEALTH:
            text = "This host is full. Please try again later."
            self._refuse_request(HTTPStatus.SERVICE_UNAVAILABLE, text)
        elif self._left > self._allowance and self._body is not None:
            self._body_is_too_large(body)

    def _body_is_too_large(self, body: StreamReader) -> None:
        """Stop reading a body; its reader gets BodyTooLargeError."""
        self._ignoring = self._lingering = True
        body.set_exception(BodyTooLargeError())

    def _refuse_request(self, status: HTTPStatus, text: str) -> None:
        """Take the last request back from aiohttp, and refuse it."""
        self._messages.pop()
        self._unanswered -= 1
        self._refuse(status, text)

    def _refuse(self, status: HTTPStatus, text: str) -> None:
        """Answer in place of the application, and process no more input."""
        self._ignoring = self._lingering = True
        error = HttpProcessingError(code=status, message=text)
        self._messages.append((_ErrInfo(status, error, text), EMPTY_PAYLOAD))
        self._request_count += 1
        self._unanswered += 1
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _discard(self, size: int) -> None:
        self._allowance -= size
        if self._allowance < -_MOST_DISCARDED and self.transport is not None:
            self.transport.pause_reading()

    def set_parser(self, parser: Any, data_received_cb: Callable[[], None] | None = None) -> None:
        """Pass all further input to `parser`, a websocket's."""
        super().set_parser(parser, data_received_cb)
        if held := self.take_input():
            super().data_received(held)

    def take_input(self) -> bytes:
        """Return and forget the input behind the current request."""
        held, self._input = self._input, b""
        return held

    # Output

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send a response, then go on with the next request in a later iteration."""
        if self._lingering:
            resp.force_close()  # otherwise the client might send its next request here
        result = await super().finish_response(request, resp, start_time)
        self._unanswered -= 1
        self._watch_reading()
        if self._body is not None and not self._unanswered:
            await self._end(self._body)
        if self._lingering:
            await self._linger()
        elif self._input:
            await asyncio.sleep(0)
            self._advance()
        return result

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer a request that failed; errors that clients can cause at will are only counted."""
        if isinstance(exc, BodyTooLargeError):
            status, message = HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The body is too large."
        elif isinstance(exc, RequestPayloadError):
            status, message = HTTPStatus.BAD_REQUEST, "The body cannot be read."
        elif isinstance(exc, ConnectionError) and (not self._tcp or self._tcp.is_closing()):
            return web.Response()  # the client has gone, which is not an error
        elif not isinstance(exc, HttpProcessingError):
            response = super().handle_error(request, status, exc, message)
            response.headers.update(HEADERS)
            return response
        elif status == HTTPStatus.BAD_REQUEST:
            message = "This is not a valid HTTP request."
        self._host.note("invalid requests", message or "")
        response = web.Response(status=status, text=f"{message}\n", headers=HEADERS)
        response.force_close()
        return response

    async def _end(self, body: StreamReader) -> None:
        """Wait a moment for the rest of an unread body; if it does not come, close."""
        with suppress(TimeoutError, RequestPayloadError):
            async with asyncio.timeout(_LINGER_SECONDS):
                await body.wait_eof()
        if self._body is body:
            self._ignoring = self._lingering = True

    async def _linger(self) -> None:
        """Wait for the client to read the refusal, which could be lost by closing at once."""
        if self.transport is None:
            return
        self._host.requests.drop(self)
        self._closed = self._loop.create_future()
        with suppress(OSError, RuntimeError):  # the client has closed the connection already
            self.transport.write_eof()
        await asyncio.wait([self._closed], timeout=_LINGER_SECONDS)

    def _watch_reading(self) -> None:
        """Start the stall timeout if the client has yet to read some of the response."""
        if self._tcp is not None and self._payload_parser is None:
            self._unsent = self._tcp.get_write_buffer_size()
            if self._unsent:
                self._host.answers.set(self)

    def pause_writing(self) -> None:
        """Pause until the client has read more, up to the stall timeout."""
        super().pause_writing()
        self._watch_reading()

    # The end

    def request_is_late(self) -> None:
        """Close the connection of a client that takes too long to send a request."""
        if self._reading_paused:  # not the client's fault
            self._host.requests.set(self)
            return
        self._host.note("slow requests", "no complete request in time")
        if self._body is None:
            self._abort()
        else:  # the reader of the body answers
            self._ignoring = self._lingering = True
            self._body.set_exception(RequestPayloadError("too slow"))

    def answer_is_late(self) -> None:
        """Close the connection of a client that has read nothing of a response for too long."""
        unsent = self._tcp.get_write_buffer_size() if self._tcp is not None else 0
        if unsent and unsent < self._unsent:
            self._watch_reading()
        elif unsent:
            self._host.note("slow clients", "a response was not read")
            self._abort()

    def _abort(self) -> None:
        self._ignoring = True
        if self._tcp is not None:
            self._tcp.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget the connection."""
        host = self._host
        self._tcp = None
        host.requests.drop(self)
        host.answers.drop(self)
        host.connections.close()
        host.connections.release(self._peer)
        if self._closed is not None and not self._closed.done():
            self._closed.set_result(None)
        super().connection_lost(exc)
