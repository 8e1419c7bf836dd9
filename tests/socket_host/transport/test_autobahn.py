"""The Autobahn test suite, run by kosoku: the websocket follows RFC 6455 strictly."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from socket_host.transport.limits import Limits
from socket_host.transport.native import frames
from socket_host.transport.native.acceptor import Acceptor
from socket_host.transport.native.client import Client, Socket
from socket_host.transport.native.engine import Engine
from socket_host.transport.native.environ import Environ
from socket_host.transport.native.head import Head

kosoku = pytest.importorskip("kosoku", reason="kosoku, which has the cases, is not installed")

COMPRESSION = ["12.*", "13.*"]
FINE = ("OK", "INFORMATIONAL")
ATTEMPTS = 3  # some cases have a limit of a second, which a busy machine may exceed

LIMITS = Limits(
    payload=32 << 20,
    partial=1 << 30,
    bytes_per_second=1e12,
    byte_burst=1e12,
    packets_per_second=1e12,
    packet_burst=1e12,
)


class Nobody:
    """A listener that does nothing."""

    def refusal(self, head: Head, environ: Environ, opens: bool) -> None:
        """Accept every request."""

    def opened(self, client: Client) -> None:
        """Do nothing."""

    def received(self, client: Client, data: str | bytes) -> None:
        """Do nothing."""

    def expired(self, client: Client) -> bool:
        return False

    async def closed(self, client: Client, reason: str) -> None:
        """Do nothing."""


class Mirror(Engine):
    """Echoes every websocket message, whether it is a packet or not."""

    def open_websocket(self, head: Head, environ: Environ, socket: Socket) -> None:
        client = self._open(environ)
        self.joined(client)
        socket.transport.write(head.accept())
        socket.attach(client)

    def packet(self, client: Client, packet: str | bytes) -> None:
        client.push(frames.packet_frame(packet))


@asynccontextmanager
async def mirror() -> AsyncIterator[str]:
    """The address of a Mirror."""
    ids = map(str, itertools.count())
    engine = Mirror(Nobody(), LIMITS, lambda: next(ids))
    acceptor = Acceptor(engine, frozenset(["/"]), asyncio.Protocol)
    server = await asyncio.get_running_loop().create_server(acceptor, "127.0.0.1", 0)
    try:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        server.close()
        await engine.stop()


async def run(address: str, cases: list[str] | None) -> list[Any]:
    """Return the results of some cases, or of all."""
    try:
        return await kosoku.run_fuzzingclient(  # type: ignore[no-any-return]
            address, cases=cases, exclude_cases=COMPRESSION, concurrency=8
        )
    except kosoku.FailureError as failure:
        return failure.results  # type: ignore[no-any-return]


def verdict(result: Any) -> tuple[str, str]:
    return result.behavior.value, result.behavior_close.value


async def test_autobahn() -> None:
    """Every case passes strictly, except those about compression, which is not offered."""
    async with mirror() as address:
        results = {result.case_id: verdict(result) for result in await run(address, None)}
        assert len(results) > 290
        for _ in range(ATTEMPTS - 1):
            bad = [case for case, found in results.items() if not set(found) <= set(FINE)]
            if bad:
                results |= {result.case_id: verdict(result) for result in await run(address, bad)}
        assert {case: found for case, found in results.items() if not set(found) <= set(FINE)} == {}
