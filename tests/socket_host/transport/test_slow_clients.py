"""Slow and hostile clients: refused cheaply, bounded in memory, without affecting others."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from socket_host.app import SocketHost
from socket_host.transport.native.engine import Engine
from tests.kit.hosts import limited
from tests.kit.protocol_client import PATIENCE, TEXT, Raw, frame, handshake, http_client, raw
from tests.kit.protocol_server import protocol_server
from tests.kit.waiting import until

QUICK = {
    "head_time": 0.2,
    "probe_time": 0.2,
    "ending_time": 0.2,
    "join_time": 0.3,
    "stall_time": 0.2,
}


@pytest.fixture
async def host(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SocketHost]:
    """A host with short timeouts, and a limit of 100,000 unread bytes."""
    limited(monkeypatch, **QUICK, backlog=100_000)
    async with protocol_server() as host:
        yield host


def engine(host: SocketHost) -> Engine:
    """The engine inside a host."""
    return host.sio.eio.engine  # type: ignore[no-any-return]


async def works(host: SocketHost) -> None:
    """Assert that an honest client is served."""
    async with http_client(host.port) as http, http.joined() as ws:
        await ws.send('421["echo",1]')
        assert await ws.receive() == "431[1]"


async def deaf(host: SocketHost, stack: AsyncExitStack) -> Raw:
    """A client with a small window that has joined and stopped reading."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", host.port))
    reader, writer = await asyncio.open_connection(sock=sock, limit=1)
    stack.callback(writer.close)
    client = Raw(reader, writer)
    client.send(handshake() + frame(b"40"))
    return client


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\n",
        b"GET / HTTP/1.1\r\nX: ",
        b"\x16\x03\x01\x02\x00",
    ],
)
async def test_unfinished_request_is_closed(host: SocketHost, start: bytes) -> None:
    """A connection that never completes its headers is closed."""
    async with raw(host.port) as client:
        client.send(start)
        assert await client.rest() == b""
    await works(host)


async def test_slow_headers_do_not_extend_the_timeout(host: SocketHost) -> None:
    """A byte now and then does not extend the timeout."""
    async with raw(host.port) as client:
        ended = asyncio.create_task(client.rest())
        while not ended.done():
            client.send(b"G")
            await asyncio.sleep(0.02)
        assert await ended == b""
    assert engine(host).counts["slow requests"] == 1


async def test_headers_without_end_are_refused(host: SocketHost) -> None:
    """Headers that are too large get 431, however they arrive."""
    async with raw(host.port) as client:
        client.send(b"GET /socket.io/ HTTP/1.1\r\nX: " + b"x" * 20_000)
        assert (await client.rest()).startswith(b"HTTP/1.1 431 ")
    async with raw(host.port) as client:
        client.send(handshake(X="x" * 20_000))
        assert (await client.rest()).startswith(b"HTTP/1.1 431 ")


async def test_too_many_headers_are_refused(host: SocketHost) -> None:
    """More than a hundred headers are refused."""
    async with raw(host.port) as client:
        client.send(handshake(**{f"X{n}": "" for n in range(200)}))
        assert (await client.rest()).startswith(b"HTTP/1.1 400 ")


async def test_thousand_half_open_connections(
    host: SocketHost, caplog: pytest.LogCaptureFixture
) -> None:
    """A thousand silent connections affect no other, and are closed, with one line in the log."""
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(raw(host.port)) for _ in range(1000)]
        await works(host)
        for client in clients:
            assert await client.rest() == b""
    assert engine(host).counts["slow requests"] == 1000
    assert len(warnings(caplog)) <= 1


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The warnings in this host's log."""
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


async def test_session_that_does_not_join_is_closed(host: SocketHost) -> None:
    """A session that joins no namespace is closed, by websocket and by polling."""
    async with http_client(host.port) as http:
        poller = await http.open()
        async with http.websocket() as ws:
            await ws.receive()
            assert await ws.closed() == 1000
        assert (await poller.get())[0] == 400


async def test_probe_that_stays_half_way_ends(host: SocketHost) -> None:
    """An unfinished upgrade closes its websocket, and polling continues."""
    async with http_client(host.port) as http:
        poller = await http.open()
        await poller.join()
        async with http.websocket(sid=poller.sid) as ws:
            await ws.send("2probe")
            assert await ws.receive() == "3probe"
            assert await ws.closed() == 1000
        assert await poller.post('421["echo",1]') == (200, "ok")
        assert await poller.get() == (200, "431[1]")


async def test_failed_probe_that_does_not_hang_up_ends(host: SocketHost) -> None:
    """A client that stays connected after a failed probe is disconnected."""
    connections = engine(host).connections
    async with http_client(host.port) as http:
        poller = await http.open()
        await poller.join()
    await until(lambda: connections.count == 0)
    async with raw(host.port) as client:
        client.send(handshake(f"EIO=4&transport=websocket&sid={poller.sid}"))
        assert "101" in await client.head()
        client.send(frame(b"4x"))
        assert await client.close_code() == 1008
        await until(lambda: connections.count == 0)


async def test_body_that_never_ends_closes_the_session(host: SocketHost) -> None:
    """A POST that does not arrive ends its session."""
    async with http_client(host.port) as http, raw(host.port) as client:
        poller = await http.open()
        client.send(
            f"POST /socket.io/?EIO=4&transport=polling&sid={poller.sid} HTTP/1.1\r\n"
            "Host: x\r\nContent-Length: 100\r\n\r\n40".encode()
        )
        assert "400" in await client.head()
        assert (await poller.get())[0] == 400


async def test_deaf_websocket_is_closed(host: SocketHost, caplog: pytest.LogCaptureFixture) -> None:
    """A client that stops reading is closed after a while; the others get everything."""
    async with AsyncExitStack() as stack:
        clients = [await deaf(host, stack) for _ in range(3)]
        http = await stack.enter_async_context(http_client(host.port))
        listener = await stack.enter_async_context(http.joined())
        await until(lambda: len(host.namespaces[0]._clients) == 4)
        news = "x" * 10_000
        async with asyncio.timeout(PATIENCE):
            while engine(host).counts["slow clients"] < len(clients):
                await host.sio.emit("news", news)
                assert (await listener.receive()).startswith('42["news"')
        await until(lambda: len(engine(host).clients) == 1)
    assert len(warnings(caplog)) <= 1


async def test_deaf_poller_is_closed(host: SocketHost) -> None:
    """A client that stops polling is closed when too much is waiting for it."""
    async with http_client(host.port) as http:
        poller = await http.open()
        await poller.join()
        for _ in range(20):
            await host.sio.emit("news", "x" * 10_000)
        await until(lambda: engine(host).counts["slow clients"] == 1)
        assert (await poller.get())[0] == 400


async def test_pings_of_a_deaf_client_are_bounded(host: SocketHost) -> None:
    """Pings are answered only as long as the answers are read."""
    async with AsyncExitStack() as stack:
        client = await deaf(host, stack)
        ping = frame(b"x" * 125, 0x9) * 100
        async with asyncio.timeout(PATIENCE):
            while not engine(host).counts["slow clients"]:
                client.send(ping)
                try:
                    await client.writer.drain()
                except ConnectionError:
                    break
        await until(lambda: not engine(host).clients)


async def test_garbage_is_refused_without_a_trace(
    host: SocketHost, caplog: pytest.LogCaptureFixture
) -> None:
    """Invalid frames, text, packets and HTTP cause one line per kind, and no exception."""
    garbage = [
        handshake() + frame(b"40", mask=False),
        handshake() + frame(b"4\xff\xff"),
        handshake() + frame(b"nonsense"),
        handshake() + frame(b"40") + frame(b"42[]"),
        handshake() + b"\xff" * 500,
        b"\x00\x01\x02\x03\r\n\r\n",
        b"NONSENSE\r\n\r\n",
        b"GET /socket.io/ HTTP/9.9\r\n\r\n",
        b"GET /socket.io/?EIO=4&transport=polling&sid=%00 HTTP/1.1\r\nHost: x\r\n"
        b"Connection: close\r\n\r\n",
    ]
    for data in garbage * 5:
        async with raw(host.port) as client:
            client.send(data)
            await client.rest()
    await works(host)
    assert not [record for record in caplog.records if record.exc_info]
    assert len(warnings(caplog)) <= 3


async def test_reset_in_the_middle_of_a_handshake(host: SocketHost) -> None:
    """Clients that reset the connection at any point leave nothing behind."""
    for cut in range(0, len(handshake()), 20):
        sock = socket.socket()
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", host.port))
        await asyncio.get_running_loop().sock_sendall(sock, handshake()[:cut])
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        sock.close()
    await works(host)
    await until(lambda: not engine(host).clients)


async def test_messages_at_once_from_a_silent_reader(host: SocketHost) -> None:
    """A client that does not read its answers is not read either, so its backlog stays bounded."""
    async with AsyncExitStack() as stack:
        client = await deaf(host, stack)
        await until(lambda: bool(engine(host).clients))
        (silent,) = engine(host).clients.values()
        await until(lambda: silent.socket is not None)
        assert silent.socket
        server, sending = silent.socket.transport, client.writer.transport
        events = frame(b'421["echo","%s"]' % (b"x" * 1000), TEXT) * 100

        def is_not_read() -> bool:
            if not sending.get_write_buffer_size():
                client.send(events)
            return server.get_write_buffer_size() > 0 and not server.is_reading()

        await until(is_not_read)
        assert server.get_write_buffer_size() < 250_000
        assert not engine(host).counts["slow clients"]
        await works(host)
        client.writer.transport.abort()
        await until(lambda: not engine(host).clients)
