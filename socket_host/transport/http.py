"""HTTP connections: aiohttp serves them, within bounds on what each may send, hold and wait for.

aiohttp's protocol takes whatever comes in; here it gets one request at a time. This is the one
module that knows its insides, as they are in aiohttp 3.14.
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
from socket_host.transport.timeout_queue import TimeoutQueue

if TYPE_CHECKING:
    from aiohttp.http import RawRequestMessage
    from aiohttp.streams import StreamReader

    from socket_host.transport.connections import Connections
    from socket_host.transport.limits import Limits

IDLE_SECONDS = 75.0  # between two requests; a balancer in front has to let go of them sooner
_STALL_SECONDS = 30.0  # for which a client may read nothing of an answer
_LINGER_SECONDS = 1.0  # to hear the rest of what was refused, so that the refusal is heard
_MOST_DISCARDED = 1 << 16  # bytes of it
_MOST_BEHIND = 1 << 14  # bytes that may wait behind a request that is not answered yet
_SLICE = 1 << 12  # bytes in which a chunked body goes to the parser: its end is not known before

_END = b"\r\n\r\n"
HEALTH = "/health"
FEW = 1 << 13  # bytes of a body, where there should be none or next to none

HEADERS = {"Server": "Sidepath", "X-Content-Type-Options": "nosniff"}  # of every answer

_SID = re.compile(r"[?&]sid=([^&]*)")


def session_id(target: str) -> str:
    """Return the id of the session that a request's target is about; empty if it names none."""
    found = _SID.search(target)
    return found[1] if found else ""


class BodyTooLargeError(RequestPayloadError):
    """A body is larger than its target may have."""


async def add_headers(request: web.BaseRequest, response: web.StreamResponse) -> None:
    """Give an answer what every answer has."""
    response.headers.update(HEADERS)


def hand_over(connection: RequestHandler) -> bytes:
    """Let another protocol have the connection; return what it has to begin with.

    aiohttp has no way to give a connection up, so it is told that the connection is lost. Its
    attempt to answer the request then ends quietly.
    """
    held = connection._message_tail
    if isinstance(connection, HttpConnection):
        held = connection.take_input()
    connection.transport = None
    connection.connection_lost(None)
    return held


class HttpServer:
    """Makes the protocol of each HTTP connection, and keeps the time for all of them.

    `server` is aiohttp's, `note` is told of who was let go and why, and `most_body` how many bytes
    of a body are taken for a request's target.
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

    def room(self, target: str) -> int:
        """Return how many bytes the body of a request may have."""
        # Who may not emit is refused before any of it is read.
        return MAX_BYTES if target == LOOPBACK_PATH else self._most_body(target)


class HttpConnection(RequestHandler):
    """aiohttp's protocol, which gets a request as soon as the one before has its answer.

    What comes in meanwhile waits here, and it may not be much: nobody who talks to a host directly
    sends requests ahead. A body goes on as it comes, up to what its target may have.
    """

    __slots__ = (
        "_body",
        "_gone",
        "_host",
        "_input",
        "_left",
        "_lingers",
        "_looked",
        "_over",
        "_peer",
        "_reserve",
        "_room",
        "_unanswered",
        "_unsent",
        "_wire",
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
        self._input = b""  # what aiohttp has not been given yet
        self._looked = 0  # bytes of it in which no head ends
        self._body: StreamReader | None = None  # of the request under way, until it is complete
        self._left = 0  # bytes of it to come; -1 for a chunked one
        self._room = 0  # bytes of it that may come
        self._unanswered = 0
        self._over = False  # nothing more is read
        self._lingers = False  # the client is told, and may still be sending
        self._unsent = 0  # bytes of an answer that waited when the client's time to read began
        self._peer: bytes | None = None
        self._reserve = False
        self._gone: asyncio.Future[None] | None = None  # set once somebody waits for it
        self._wire: asyncio.Transport | None = None  # aiohttp forgets it as soon as it closes it

    # What comes in

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for the first request; hang up if there is no room."""
        super().connection_made(transport)
        self._wire = cast(asyncio.Transport, transport)
        connections = self._host.connections
        room = connections.open()
        self._reserve = connections.crowded
        self._peer = connections.hold(transport) if room else None
        self._host.requests.set(self)
        if self._peer is None:
            self._host.note("too many connections", "open, or of one address")
            self._abort()

    def data_received(self, data: bytes) -> None:
        """Take bytes from the client; aiohttp calls this with none to go on with its own."""
        if self._payload_parser is not None:
            super().data_received(data)
        elif not data:
            self._parse(data)
        elif self._over:
            self._discard(len(data))
        else:
            self._input = self._input + data if self._input else data
            self._advance()

    def _advance(self) -> None:
        """Give aiohttp what it may have, and see to it that the rest does not take too long."""
        while self._input and not self._over and (size := self._next()):
            data, self._input = self._input[:size], self._input[size:]
            self._looked = 0
            self._parse(data)
        if self._over:
            self._input = b""
        if self._unanswered and self._body is None:
            self._host.requests.drop(self)
        elif self._input and self not in self._host.requests:
            self._host.requests.set(self)
        if len(self._input) > _MOST_BEHIND:
            self._host.note("invalid requests", "too many at once")
            self._abort()

    def _next(self) -> int:
        """Return how many bytes aiohttp may have now."""
        if self._body is not None:
            return min(_SLICE if self._left < 0 else self._left, len(self._input))
        if self._unanswered:
            return 0
        self._input = self._input.lstrip(b"\r\n")  # empty lines may come before a request
        most = self._host.limits.head
        end = self._input.find(_END, max(0, self._looked - len(_END)), most + len(_END))
        if end >= 0:
            return end + len(_END)
        self._looked = len(self._input)
        if self._looked > most:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "Headers too large.")
        return 0

    def _parse(self, data: bytes) -> None:
        before = self._request_count
        if self._body is not None:
            self._left -= len(data) if self._left > 0 else 0
            self._room -= len(data)
        super().data_received(data)
        if begun := self._request_count - before:
            self._unanswered += begun
            self._begin(*self._messages[-1])
        if self._body is not None and self._body.is_eof():
            self._body = None
        elif self._body is not None and self._room < 0:
            self._body_is_too_large(self._body)

    def _begin(self, message: RawRequestMessage | _ErrInfo, body: StreamReader) -> None:
        """Look at a request whose head is complete."""
        self._body = None
        if isinstance(message, _ErrInfo):
            self._over = True
            return
        if body is not EMPTY_PAYLOAD:
            self._body = body
            self._left = -1 if message.chunked else int(message.headers.get("Content-Length", 0))
            self._room = self._host.room(message.path)
            self._host.requests.set(self)
        if message.headers.get("Content-Encoding", "identity").lower() != "identity":
            self._take_back(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Send the body uncompressed.")
        elif self._reserve and message.path != HEALTH:
            text = "This host is full. Please try again later."
            self._take_back(HTTPStatus.SERVICE_UNAVAILABLE, text)
        elif self._left > self._room and self._body is not None:
            self._body_is_too_large(body)

    def _body_is_too_large(self, body: StreamReader) -> None:
        """Take no more of a body; whoever reads it learns that it has no end."""
        self._over = self._lingers = True
        body.set_exception(BodyTooLargeError())

    def _take_back(self, status: HTTPStatus, text: str) -> None:
        self._messages.pop()
        self._unanswered -= 1
        self._refuse(status, text)

    def _refuse(self, status: HTTPStatus, text: str) -> None:
        """Answer in place of the application, and hear no more."""
        self._over = self._lingers = True
        error = HttpProcessingError(code=status, message=text)
        self._messages.append((_ErrInfo(status, error, text), EMPTY_PAYLOAD))
        self._request_count += 1
        self._unanswered += 1
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _discard(self, size: int) -> None:
        self._room -= size
        if self._room < -_MOST_DISCARDED and self.transport is not None:
            self.transport.pause_reading()

    def set_parser(self, parser: Any, data_received_cb: Callable[[], None] | None = None) -> None:
        """Let `parser`, a websocket's, have all that comes in from now on."""
        super().set_parser(parser, data_received_cb)
        if held := self.take_input():
            super().data_received(held)

    def take_input(self) -> bytes:
        """Return what came in behind the request under way, and forget it."""
        held, self._input = self._input, b""
        return held

    # What goes out

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send an answer; then it is the next request's turn, after everybody else's."""
        if self._lingers:
            resp.force_close()  # or the client would send its next request here, in vain
        result = await super().finish_response(request, resp, start_time)
        self._unanswered -= 1
        self._watch_reading()
        if self._body is not None and not self._unanswered:
            await self._end(self._body)
        if self._lingers:
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
        """Answer a request that failed; those that clients can cause at will are only counted."""
        if isinstance(exc, BodyTooLargeError):
            status, message = HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The body is too large."
        elif isinstance(exc, RequestPayloadError):
            status, message = HTTPStatus.BAD_REQUEST, "The body cannot be read."
        elif isinstance(exc, ConnectionError) and (not self._wire or self._wire.is_closing()):
            return web.Response()  # the client has gone: that is no error, and nobody reads this
        elif not isinstance(exc, HttpProcessingError):
            response = super().handle_error(request, status, exc, message)
            response.headers.update(HEADERS)
            return response
        elif status == HTTPStatus.BAD_REQUEST:
            message = "This is not HTTP as it should be."
        self._host.note("invalid requests", message or "")
        response = web.Response(status=status, text=f"{message}\n", headers=HEADERS)
        response.force_close()
        return response

    async def _end(self, body: StreamReader) -> None:
        """Wait a moment for the rest of a body that nobody reads; else it is the end."""
        with suppress(TimeoutError, RequestPayloadError):
            async with asyncio.timeout(_LINGER_SECONDS):
                await body.wait_eof()
        if self._body is body:
            self._over = self._lingers = True

    async def _linger(self) -> None:
        """Wait until the client has read its refusal: to hang up at once could lose that."""
        if self.transport is None:
            return
        self._host.requests.drop(self)
        self._gone = self._loop.create_future()
        with suppress(OSError, RuntimeError):  # the client has been quicker
            self.transport.write_eof()
        await asyncio.wait([self._gone], timeout=_LINGER_SECONDS)

    def _watch_reading(self) -> None:
        """See to it that the client reads on, if it has not read everything."""
        if self._wire is not None and self._payload_parser is None:
            self._unsent = self._wire.get_write_buffer_size()
            if self._unsent:
                self._host.answers.set(self)

    def pause_writing(self) -> None:
        """Wait until the client has read more, but not for ever."""
        super().pause_writing()
        self._watch_reading()

    # The end

    def request_is_late(self) -> None:
        """Hang up on a client that takes too long to send a request."""
        if self._reading_paused:  # which is not its fault
            self._host.requests.set(self)
            return
        self._host.note("slow requests", "no complete request in time")
        if self._body is None:
            self._abort()
        else:  # who reads it answers
            self._over = self._lingers = True
            self._body.set_exception(RequestPayloadError("too slow"))

    def answer_is_late(self) -> None:
        """Hang up on a client that has read nothing of an answer for too long."""
        unsent = self._wire.get_write_buffer_size() if self._wire is not None else 0
        if unsent and unsent < self._unsent:
            self._watch_reading()
        elif unsent:
            self._host.note("slow clients", "an answer was not read")
            self._abort()

    def _abort(self) -> None:
        self._over = True
        if self._wire is not None:
            self._wire.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget the connection."""
        host = self._host
        self._wire = None
        host.requests.drop(self)
        host.answers.drop(self)
        host.connections.close()
        host.connections.release(self._peer)
        if self._gone is not None and not self._gone.done():
            self._gone.set_result(None)
        super().connection_lost(exc)
