"""Edges for tests, in this process, with the real template or a changed one, and any origins."""

import asyncio
import re
import socket
import struct
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path

from aiohttp import web

from scripts import ROOT
from scripts.commands.dev.edge import Edge
from scripts.commands.dev.edge import serving as serving_edge
from scripts.commands.dev.listeners import listen
from scripts.commands.dev.origin_request import OriginRequest
from scripts.commands.dev.origins import Origin
from scripts.commands.dev.template import FUNCTION, SOCKET_HOST, Template
from scripts.yours import with_parts

# Without the parts that are yours.
TEMPLATE = with_parts((ROOT / "infra/template.yaml").read_text(), {})

PATIENCE = 20  # seconds: a deadline that even a busy machine meets


@cache
def real_template() -> Template:
    """Our parts of the template; read-only, because tests share it."""
    return Template.parse(TEMPLATE)


def changed(*replacements: tuple[str, str]) -> Template:
    """Our parts of the template with pieces of its text replaced; each piece must exist."""
    text = TEMPLATE
    for old, new in replacements:
        assert old in text, f"the template no longer says {old!r}"
        text = text.replace(old, new)
    return Template.parse(text)


class Recorder:
    """An origin that records its requests and answers each with its own name."""

    def __init__(self, name: str, *, sockets: bool = False) -> None:
        self.name = name
        self.sockets = sockets
        self.requests: list[OriginRequest] = []

    async def answer(self, viewer: web.BaseRequest, request: OriginRequest) -> web.Response:
        self.requests.append(request)
        return web.Response(text=self.name)

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the last request, by lower-case name."""
        return {name.lower(): value for name, value in self.requests[-1].headers}


class RunningEdge:
    """A listening edge, with its address and origins."""

    def __init__(self, edge: Edge, port: int, origins: Mapping[str, Origin]) -> None:
        self.edge = edge
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.origins = origins

    async def ask(self, request: str | bytes, *, until: bytes = b"") -> str:
        """Send raw bytes, and return everything received until the edge closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(request.encode("latin-1") if isinstance(request, str) else request)
        async with asyncio.timeout(PATIENCE):
            answer = await (reader.readuntil(until) if until else reader.read())
        writer.close()
        return answer.decode("latin-1")

    async def get(self, target: str, *headers: str, method: str = "GET", body: str = "") -> str:
        """Request a target exactly as written, and return the whole response."""
        lines = [f"{method} {target} HTTP/1.1", "Host: viewer.test", "Connection: close", *headers]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        return await self.ask("\r\n".join([*lines, "", body]))


@asynccontextmanager
async def running(
    template: Template | None = None,
    origins: Mapping[str, Origin] | None = None,
    names: Collection[str] | None = None,
) -> AsyncIterator[RunningEdge]:
    """An edge on its own port; by default with two origins that record requests."""
    origins = origins or {FUNCTION: Recorder("pages"), SOCKET_HOST: Recorder("host", sockets=True)}
    edge = Edge(template or real_template(), origins, names)
    listeners = listen(0)
    async with serving_edge(edge.answer, listeners):
        yield RunningEdge(edge, listeners[0].getsockname()[1], origins)


def status(answer: str) -> int:
    """The status of a response as `ask` returns it."""
    found = re.match(r"HTTP/1\.1 (\d+) ", answer)
    assert found, answer[:200]
    return int(found[1])


def upgrade(target: str) -> str:
    """A request to open a websocket."""
    return (
        f"GET {target} HTTP/1.1\r\nHost: viewer.test\r\nConnection: Upgrade\r\n"
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )


def reset(connection: socket.socket) -> None:
    """Close a connection with a reset instead of an orderly end."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def open_files() -> int:
    """How many open files, including connections, this process has."""
    return len(list(Path("/dev/fd").iterdir()))


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait until a condition is true."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.01)
