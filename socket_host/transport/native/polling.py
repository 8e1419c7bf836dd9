"""Long polling: a GET waits for packets, and a POST sends some. aiohttp handles the HTTP."""

from __future__ import annotations

import asyncio
import gzip
import math
from collections import deque
from functools import partial
from http import HTTPStatus

from aiohttp import web

from socket_host.transport.http import BodyTooLargeError, hand_over
from socket_host.transport.native import base64_packets
from socket_host.transport.native.client import Client
from socket_host.transport.native.engine import Engine
from socket_host.transport.native.environ import Environ
from socket_host.transport.native.head import Head
from socket_host.transport.native.message import SEPARATOR, Message
from socket_host.transport.native.packet_types import CLOSE, NOOP
from socket_host.transport.native.reasons import TRANSPORT_CLOSE, TRANSPORT_ERROR
from socket_host.transport.native.refusal import Refusal, bad_method, bad_request
from socket_host.transport.native.websocket import WebSocket

# Bytes after which a response takes no more packets, since compressing it delays everybody else.
_RESPONSE = 1 << 18

_REQUEST_PACKETS = 10  # charged for a POST in addition to its own packets, for the cost of HTTP


def head_of(request: web.Request) -> Head:
    """Return the head of a request that aiohttp has parsed."""
    lines = [f"{request.method} {request.raw_path} HTTP/1.{request.version.minor}".encode()]
    lines += [name + b": " + value for name, value in request.raw_headers]
    return Head(b"\r\n".join(lines))


def take_over(
    engine: Engine, request: web.Request, head: Head, environ: Environ
) -> web.StreamResponse:
    """Turn a connection that aiohttp has been serving into a websocket; raises Refusal.

    Load balancers may upgrade a connection that has carried other requests.
    """
    transport, http = request.transport, request.protocol
    if transport is None:
        raise bad_request()
    socket = WebSocket(engine)
    socket.transport, socket.full = transport, http.writing_paused
    engine.open_websocket(head, environ, socket)
    socket.connection_made(socket.transport)
    transport.set_protocol(socket)
    if frames := hand_over(http):
        socket.data_received(frames)
    return web.Response()


def opened(engine: Engine, client: Client, request: web.Request) -> web.Response:
    """Answer the request that opened a session."""
    return _payload(engine, request, client.take_queue())


async def answer(engine: Engine, client: Client, request: web.Request) -> web.Response:
    """Answer one request of a polling client; raises Refusal."""
    if request.method == "GET":
        messages = await _wait(engine, client)
        client.poll_transport = request.transport
        return _payload(engine, request, messages)
    if request.method == "POST":
        await _take(engine, client, request)
        return web.Response(text="ok")
    raise bad_method()


def _payload(engine: Engine, request: web.Request, messages: list[Message]) -> web.Response:
    packets = [packet for message in messages for packet in message.packets]
    texts = (one if isinstance(one, str) else base64_packets.encode(one) for one in packets)
    body = SEPARATOR.join(texts).encode()
    headers = {"Cache-Control": "no-store"}
    if len(body) >= engine.compresses_from and _takes_gzip(request):
        body = gzip.compress(body, compresslevel=6)
        headers["Content-Encoding"] = "gzip"
    return web.Response(body=body, content_type="text/plain", charset="UTF-8", headers=headers)


def _takes_gzip(request: web.Request) -> bool:
    for offer in ",".join(request.headers.getall("Accept-Encoding", [])).split(","):
        name, _, quality = offer.replace(" ", "").lower().partition(";q=")
        if name == "gzip":
            return quality.strip("0.") != "" or not quality
    return False


async def _wait(engine: Engine, client: Client) -> list[Message]:
    """Wait until there is something to send, and return it."""
    if client.poll is not None:
        engine.note("invalid requests", "a second GET while one was waiting")
        engine.close(client, TRANSPORT_ERROR)
        raise bad_request()
    if not (client.queue or client.probed or client.replaying):
        await _until_woken(engine, client)
    most = math.inf if client.closing else _RESPONSE  # a session that ends has no other response
    return _before_close(client.take_queue(most)) or [Message.of(NOOP)]


def _before_close(messages: list[Message]) -> list[Message]:
    """Drop a final CLOSE packet if there are other messages; the next GET is refused anyway.

    socket.io-client would handle the CLOSE first, and buffer the events of the same response until
    it is connected again, without taking note of their offsets.
    """
    if len(messages) > 1 and messages[-1].packets == (CLOSE,):
        del messages[-1]
    return messages


async def _until_woken(engine: Engine, client: Client) -> None:
    client.poll = asyncio.get_running_loop().create_future()
    try:
        await client.poll
    except asyncio.CancelledError:
        # The browser has left: close, or packets would be lost in a response that nobody reads.
        engine.close(client, TRANSPORT_CLOSE)
        raise
    finally:
        client.poll = None


async def _take(engine: Engine, client: Client, request: web.Request) -> None:
    """Handle the packets of a POST; an invalid one ends the session."""
    if client.posting:
        engine.note("invalid requests", "a second POST while one was being sent")
        engine.close(client, TRANSPORT_ERROR)
        raise bad_request()
    client.posting = True
    try:
        body = await _body(engine, client, request)
        while client.busy is not None:
            await asyncio.wait([client.busy])
        packets = _packets(body)
        await asyncio.sleep(engine.charge(client, len(packets) + _REQUEST_PACKETS, len(body)))
        await engine.turns.run(partial(_deliver, engine, client, deque(packets)))
    except ValueError as error:
        engine.invalid_packet(client, str(error))
        raise bad_request() from None
    finally:
        client.posting = False
        engine.input.release((client, "body"))
    if client.closing and packets[-1] != CLOSE:
        raise bad_request()


def _deliver(engine: Engine, client: Client, left: deque[str | bytes]) -> bool:
    """Pass packets to the engine, as many as may be handled now; return whether that was all."""
    for _ in range(engine.turns.packets()):
        if client.closing or not left:
            return True
        packet = left.popleft()
        engine.turns.spend(1, len(packet))
        engine.packet(client, packet)
    return client.closing or not left


async def _body(engine: Engine, client: Client, request: web.Request) -> bytes:
    """Read the body, and count it as input until the caller releases it; raises Refusal."""
    limits = engine.limits
    most = limits.payload if client.joined else limits.connect
    body = bytearray()

    def evict() -> None:
        engine.evict(client)
        if request.transport is not None:
            request.transport.abort()  # which cancels this task

    try:
        async with asyncio.timeout(limits.head_time):
            while chunk := await request.content.readany():
                body += chunk
                if len(body) > most:
                    raise _too_large()
                engine.input.hold((client, "body"), len(body), evict)
    except (Refusal, TimeoutError, web.RequestPayloadError, ConnectionError) as error:
        engine.note("invalid requests", "a POST was too large, too slow or cut off")
        engine.close(client, TRANSPORT_ERROR)
        if isinstance(error, BodyTooLargeError):
            error = _too_large()
        raise error if isinstance(error, Refusal) else bad_request() from None
    return bytes(body)


def _too_large() -> Refusal:
    return Refusal(3, "Payload too large", HTTPStatus.REQUEST_ENTITY_TOO_LARGE)


def _packets(body: bytes) -> list[str | bytes]:
    """Split a payload into packets; raises ValueError."""
    return [
        base64_packets.decode(packet) if packet[:1] == "b" else packet
        for packet in body.decode().split(SEPARATOR)
    ]
