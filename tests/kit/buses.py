"""Buses for tests: a real Redis, a stand-in for SNS and SQS, and hosts on them."""

import asyncio
import contextlib
import os
import signal
import socket
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
import socketio
from aiohttp import web
from aiohttp.test_utils import TestServer

from socket_host.bus import Bus, open_bus, queue, sqs
from socket_host.transport.native.manager import NativeManager
from socket_host.transport.native.socket_server import SocketServer
from socket_host.transport.stock.rooms import StockManager
from tests.kit.aws import aws as server_of_aws
from tests.kit.clients import PythonClient
from tests.kit.hosts import PATIENCE

TRANSPORTS: dict[str, tuple[type, type]] = {
    "stock": (socketio.AsyncServer, StockManager),
    "fast": (SocketServer, NativeManager),
}


class Redis:
    """A real redis-server for one test, which can be stopped and restarted."""

    def __init__(self, folder: Path, options: Sequence[str] = ()) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self.setting = f"redis://127.0.0.1:{self.port}"
        self._options = ["--dir", str(folder), "--save", "", "--bind", "127.0.0.1", *options]

    async def start(self) -> None:
        command = ["redis-server", "--port", str(self.port), *self._options]
        self._process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE
        )
        assert self._process.stdout
        async with asyncio.timeout(PATIENCE):
            async for line in self._process.stdout:
                if b"Ready to accept connections" in line:
                    return
        raise AssertionError("redis-server did not start")

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def stop(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.communicate()


@asynccontextmanager
async def redis(folder: Path, *options: str) -> AsyncIterator[Redis]:
    """A running Redis, stopped at the end."""
    server = Redis(folder, options)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@contextmanager
def aws() -> Iterator[None]:
    """AWS for hosts' queues."""
    with server_of_aws(), pytest.MonkeyPatch.context() as patch:
        # moto continues a request whose connection was closed, and gives it messages.
        patch.setattr(sqs, "POLL_SECONDS", 1)
        patch.setitem(queue._ATTRIBUTES, "VisibilityTimeout", "1")
        yield


def topic() -> str:
    """The setting for a new topic."""
    attributes = {"FifoTopic": "true"}
    name = f"sidepath-{uuid.uuid4().hex[:8]}.fifo"
    answer = boto3.client("sns").create_topic(Name=name, Attributes=attributes)
    return f"sns:{answer['TopicArn']}"


class Line:
    """A port that forwards to AWS's stand-in, and can be cut."""

    def __init__(self, port: int) -> None:
        self._to = port
        self.port = 0
        self._here: set[asyncio.StreamWriter] = set()
        self._passing: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        # asyncio leaks a connection that is accepted while its server closes.
        for listening in self._server.sockets:
            asyncio.get_running_loop().remove_reader(listening.fileno())
        await asyncio.sleep(0.01)
        self._server.close()
        while self._here or self._passing:
            for here in self._here:
                here.transport.abort()
            self._here.clear()
            # moto finishes requests after a disconnect, and loses the messages in their responses.
            await asyncio.gather(*self._passing)

    async def end(self) -> None:
        for task in self._passing:
            task.cancel()
        await asyncio.gather(*self._passing, return_exceptions=True)
        await self.stop()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._here.add(writer)
        task = asyncio.create_task(self._pass_on(reader, writer))
        self._passing.add(task)
        task.add_done_callback(self._passing.discard)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there = await asyncio.open_connection("127.0.0.1", self._to)
        try:
            await asyncio.gather(self._copy(reader, there), self._copy(there_reader, writer))
        finally:
            there.close()
            writer.close()
            self._here.discard(writer)

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65_536):
                writer.write(data)
        with contextlib.suppress(OSError):
            writer.write_eof()


@asynccontextmanager
async def line() -> AsyncIterator[Line]:
    """A line to AWS, which hosts created within it use."""
    direct = os.environ["AWS_ENDPOINT_URL"]
    cut = Line(int(direct.rpartition(":")[2]))
    await cut.start()
    os.environ["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{cut.port}"
    try:
        yield cut
    finally:
        os.environ["AWS_ENDPOINT_URL"] = direct
        await cut.end()


class Host:
    """A Socket.IO server on a bus, whose clients all start in the room `plaza`."""

    def __init__(self, bus: Bus, transport: str) -> None:
        server, manager = TRANSPORTS[transport]
        self.bus = bus
        self.sio = server(async_mode="aiohttp", client_manager=manager(bus))
        self.sio.on("connect", self._connect)
        self.web = web.Application()
        self.sio.attach(self.web)
        self.sids: list[str] = []
        self.gone: list[str] = []
        self.sio.on("disconnect", lambda sid, *_: self.gone.append(sid))
        self._clients: list[PythonClient] = []

    async def _connect(self, sid: str, *_: Any) -> None:
        await self.sio.enter_room(sid, "plaza")
        self.sids.append(sid)

    async def client(self) -> PythonClient:
        """A client that is connected to this host; its sid is the last one in `sids`."""
        client = await PythonClient().connect(self.url)
        self._clients.append(client)
        await client.receive("connect")
        return client

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Host"]:
        async with TestServer(self.web) as server:
            self.url = str(server.make_url("/"))
            await self.bus.start()
            try:
                yield self
            finally:
                for client in self._clients:
                    await client.close()
                await self.sio.shutdown()
                await self.bus.stop()


def host(
    setting: str, transport: str = "fast", **options: str
) -> AbstractAsyncContextManager[Host]:
    """A host on the bus of a setting, with options such as a password."""
    return Host(open_bus(setting, **options), transport).serving()
