"""Real clients for tests: python-socketio's, and the official JavaScript one under Node."""

import asyncio
import atexit
import contextlib
import itertools
import json
import os
import subprocess
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Protocol, Self

import aiohttp
import socketio

from functions.contract.session import COOKIE
from tests.kit.hosts import PATIENCE

# Ways to connect, as values of socket.io-client's option `transports`.
WAYS = {
    "polling": ["polling"],
    "websocket": ["websocket"],
    "upgrade": ["polling", "websocket"],
}


class Client(Protocol):
    """A connected client of any kind."""

    async def call(self, event: str, *values: Any) -> Any:
        """Send an event; return the first value of its ack."""

    async def emit(self, event: str, *values: Any) -> None:
        """Send an event without an ack."""

    async def receive(self, event: str) -> Any:
        """Return the first value of the next such event, waiting for it if necessary."""

    async def transport(self) -> str:
        """The name of the transport in use."""


class Inbox:
    """The events that a client has received and a test has not yet read, by name."""

    def __init__(self) -> None:
        self._queues: defaultdict[str, asyncio.Queue[Any]] = defaultdict(asyncio.Queue)
        self.order: list[str] = []  # names of all events, in order of arrival

    def put(self, event: str, values: Any) -> None:
        self.order.append(event)
        self._queues[event].put_nowait(values[0] if values else None)

    async def receive(self, event: str) -> Any:
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._queues[event].get()
        except TimeoutError:
            raise AssertionError(f"received no {event!r}, only {self.order}") from None

    def unread(self, event: str) -> list[Any]:
        """The received events with a name that have not been read."""
        queue = self._queues[event]
        return [queue.get_nowait() for _ in range(queue.qsize())]


class PythonClient:
    """python-socketio's client."""

    def __init__(self, *, namespace: str = "/", **options: Any) -> None:
        self.namespace = namespace
        self.inbox = Inbox()
        self.receive = self.inbox.receive
        # A session of ours, because the client's own stays open after a failed connection.
        self._http = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))
        self.sio = socketio.AsyncClient(http_session=self._http, **options)
        self.sio.on("*", self._take, namespace)
        for event in ("connect", "disconnect", "connect_error"):
            take = partial(self._take, event)
            self.sio.on(event, take, namespace)

    def _take(self, event: str, *values: Any) -> None:
        self.inbox.put(event, values)

    async def connect(
        self, url: str, *, way: str = "websocket", token: str | None = None, **options: Any
    ) -> Self:
        if token is not None:
            # A function, because the client removes the cookie from a websocket's headers,
            # and would reconnect without.
            options["headers"] = lambda: {"Cookie": f"{COOKIE}={token}"}
        options = {"namespaces": [self.namespace]} | options
        await self.sio.connect(url, transports=WAYS[way], **options)
        return self

    async def call(self, event: str, *values: Any) -> Any:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        await self.sio.emit(event, values, self.namespace, lambda *a: answer.set_result(a))
        async with asyncio.timeout(PATIENCE):
            acked = await answer
        return acked[0] if acked else None

    async def emit(self, event: str, *values: Any) -> None:
        await self.sio.emit(event, values, self.namespace)

    async def transport(self) -> str:
        return str(self.sio.transport())

    async def close(self) -> None:
        await self.sio.shutdown()
        await self._http.close()


class JavaScriptClient:
    """An official client, which runs in a Node process."""

    def __init__(self, node: "Node", number: int) -> None:
        self._node = node
        self._number = number
        self.inbox = Inbox()
        self.receive = self.inbox.receive

    async def connect(self, url: str, *, way: str, token: str | None, **options: Any) -> Self:
        if token is not None:
            options["extraHeaders"] = {"Cookie": f"{COOKIE}={token}"}
        options |= {"transports": WAYS[way], "reconnectionDelay": 50}
        await self._node.ask(self._number, "connect", url, options)
        return self

    async def call(self, event: str, *values: Any) -> Any:
        return await self._node.ask(self._number, "call", event, values)

    async def emit(self, event: str, *values: Any) -> None:
        await self._node.ask(self._number, "emit", event, values)

    async def transport(self) -> str:
        return str(await self._node.ask(self._number, "transport"))

    async def close(self) -> None:
        await self._node.ask(self._number, "close")

    async def drop(self) -> None:
        """Lose the connection, as in a network failure; the client reconnects by itself."""
        await self.script("socket.io.engine.close()")
        await self.receive("disconnect")

    async def back(self) -> bool:
        """Wait until the client has reconnected; return whether it was recovered."""
        await self.receive("connect")
        return bool(await self.script("return !!socket.recovered"))

    async def script(self, code: str) -> Any:
        """Run JavaScript with the client as `socket`; return its result."""
        return await self._node.ask(self._number, "script", code)


class Node:
    """A Node process that runs client.mjs, with lines of JSON in both directions."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.WriteTransport) -> None:
        self._reader = reader
        self._writer = writer
        self._clients: dict[int, JavaScriptClient] = {}
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._numbers = itertools.count(1)

    def client(self) -> JavaScriptClient:
        number = next(self._numbers)
        self._clients[number] = JavaScriptClient(self, number)
        return self._clients[number]

    async def ask(self, client: int, what: str, *values: Any) -> Any:
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        line = json.dumps({"ask": number, "client": client, "do": what, "values": values})
        self._writer.write(line.encode() + b"\n")
        async with asyncio.timeout(PATIENCE):
            return await answer

    async def end(self) -> None:
        """Disconnect all clients; they report no more events."""
        await self.ask(0, "end")

    async def listen(self) -> None:
        async for line in self._reader:
            match json.loads(line):
                case {"answer": int(number), "value": value}:
                    self._answers.pop(number).set_result(value)
                case {"answer": int(number), "error": str(words)}:
                    self._answers.pop(number).set_exception(AssertionError(words))
                case {"client": int(number), "event": str(event), "values": values}:
                    self._clients[number].inbox.put(event, values)


# Node processes for later tests, because starting one takes longer than most tests.
_idle: list[subprocess.Popen[bytes]] = []


@asynccontextmanager
async def node() -> AsyncIterator[Node]:
    """A Node process for official clients, which are disconnected at the end of the block."""
    process = _idle.pop() if _idle else _start_node()
    try:
        async with _streams(process) as (reader, writer):
            running = Node(reader, writer)
            listening = asyncio.create_task(running.listen())
            yield running
            await running.end()
            listening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await listening
    except BaseException:  # the process may be in any state
        process.kill()
        process.communicate()
        raise
    _idle.append(process)


def _start_node() -> subprocess.Popen[bytes]:
    script = Path(__file__).parent / "js" / "client.mjs"
    process = subprocess.Popen(["node", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    atexit.register(process.communicate)  # the end of its stdin ends it
    return process


@asynccontextmanager
async def _streams(
    process: subprocess.Popen[bytes],
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.WriteTransport]]:
    """A process's pipes in this event loop; the process's own ends stay open afterwards."""
    assert process.stdin
    assert process.stdout
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=16 * 1024 * 1024)
    reading, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(os.dup(process.stdout.fileno()))
    )
    writing, _ = await loop.connect_write_pipe(
        asyncio.Protocol, os.fdopen(os.dup(process.stdin.fileno()), "w")
    )
    try:
        yield reader, writing
    finally:
        reading.close()
        writing.close()


class Clients:
    """Clients of one kind that connect in one way, and are closed at the end."""

    def __init__(self, kind: str, way: str, stack: AsyncExitStack) -> None:
        self.kind = kind
        self._way = way
        self._stack = stack
        self._node: Node | None = None

    async def connect(
        self, url: str, token: str | None, *, namespace: str = "/", **options: Any
    ) -> Any:
        """Return a client that has connected and, if its way is `upgrade`, upgraded."""
        client = await self.begin(url, token, namespace=namespace, **options)
        await client.receive("connect")
        if self._way == "upgrade":
            await self._upgraded(client)
        return client

    async def begin(
        self, url: str, token: str | None, *, namespace: str = "/", **options: Any
    ) -> Any:
        """Return a client that is connecting."""
        if self.kind == "python":
            client = PythonClient(namespace=namespace, **options.pop("client", {}))
            self._stack.push_async_callback(client.close)
            return await client.connect(url, way=self._way, token=token, **options)
        if self._node is None:
            self._node = await self._stack.enter_async_context(node())
        script = self._node.client()
        address = url.rstrip("/") + namespace  # the form that io() accepts
        return await script.connect(address, way=self._way, token=token, **options)

    async def _upgraded(self, client: Client) -> None:
        async with asyncio.timeout(PATIENCE):
            while await client.transport() != "websocket":  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0.01)


@asynccontextmanager
async def clients(kind: str = "python", way: str = "websocket") -> AsyncIterator[Clients]:
    """Connects clients of a kind, `python` or `javascript`, in one of the WAYS."""
    async with AsyncExitStack() as stack:
        yield Clients(kind, way, stack)


class RawClient:
    """A websocket on which a test writes its own Engine.IO packets."""

    def __init__(self, websocket: aiohttp.ClientWebSocketResponse) -> None:
        self.websocket = websocket
        self._numbers = itertools.count()

    async def receive(self, prefix: str) -> str:
        """Return the rest of the next packet that starts with a prefix, skipping others."""
        async with asyncio.timeout(PATIENCE):
            while not (packet := await self.websocket.receive_str()).startswith(prefix):
                pass
        return packet.removeprefix(prefix)

    async def ask(self, data: str) -> Any:
        """Send an event, as JSON, with an ack; return the ack."""
        number = next(self._numbers)
        await self.websocket.send_str(f"42{number}{data}")
        return json.loads(await self.receive(f"43{number}"))[0]

    async def closed(self) -> None:
        """Wait until the host has closed the connection."""
        async with asyncio.timeout(PATIENCE):
            async for _ in self.websocket:
                pass


@asynccontextmanager
async def raw_client(url: str, token: str | None) -> AsyncIterator[RawClient]:
    """A client whose packets the test writes; with a token, it has sent CONNECT."""
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{url}/socket.io/?EIO=4&transport=websocket") as websocket,
    ):
        client = RawClient(websocket)
        await client.receive("0")
        if token is not None:
            await websocket.send_str("40" + json.dumps({"session": token}))
            await client.receive("40")
        yield client
