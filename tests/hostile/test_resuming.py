"""A session is resumed as its handlers left it, and clients never wait for each other forever."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from socket_host.app import SocketHost
from socket_host.transport.native import (
    connecting,
)
from tests.hostile.guests import Guest, gone, guest, in_garden
from tests.kit.hosts import serving
from tests.kit.protocol_client import PATIENCE
from tests.kit.waiting import until
from tests.socket_host.transport.recovering import Rooms, emit


class Leaving(Rooms):
    """Changes a client's rooms and session when it drops."""

    async def on_disconnect(self, sid: str, reason: str) -> None:
        await asyncio.sleep(0)
        await self.save_session(sid, {"word": "late"})
        await self.leave_room(sid, "garden")
        await self.enter_room(sid, "kitchen")


async def test_state_is_what_the_disconnect_handler_left(tmp_path: Path) -> None:
    """Changes by `on_disconnect` to session and rooms are there when the client resumes."""
    async with serving(tmp_path, Leaving, origins=None) as host, in_garden(host) as ann:
        await ann.drop()
        await until(gone(host))
        await emit(host, "left")
        await emit(host, "end", room="kitchen")
        await ann.come()
        assert ann.recovered
        await ann.receive("end")
        assert ann.received == ["end"]
        await ann.send('429["word"]')
        while not (packet := await ann.packet()).startswith("439"):
            pass
        assert packet == '439["late"]'


class Picky(Rooms):
    """Refuses clients while `full` is set."""

    full = False

    def admit(self, sid: str, environ: Any, auth: Any) -> Any:
        if self.full:
            raise self._refused("full", "Not now.")
        return super().admit(sid, environ, auth)


async def test_refused_client_may_resume_later(tmp_path: Path) -> None:
    """A client that is refused when it reconnects can still resume later."""
    async with serving(tmp_path, Picky, origins=None) as host, in_garden(host) as ann:
        await ann.drop()
        await until(gone(host))
        host.namespaces[0].full = True  # type: ignore[attr-defined]
        with pytest.raises(AssertionError, match="Not now"):
            await ann.come()
        await ann.drop()
        await until(gone(host))
        host.namespaces[0].full = False  # type: ignore[attr-defined]
        await emit(host, "end")
        await ann.come()
        assert ann.recovered
        await ann.receive("end")


class Curious(Rooms):
    """Records what clients send with CONNECT."""

    def admit(self, sid: str, environ: Any, auth: Any) -> Any:
        self.came.append(("admit", auth))
        return super().admit(sid, environ, auth)

    async def on_connect(self, sid: str, environ: Any, auth: Any) -> None:
        self.came.append(("connect", auth))


@pytest.mark.parametrize("own", [{}, {"offset": 3, "mine": 1}, {"pid": "my own"}])
async def test_protocol_stays_out_of_auth(own: dict[str, Any], tmp_path: Path) -> None:
    """`pid` and `offset` do not reach the application, unless they are its own."""
    async with serving(tmp_path, Curious, origins=None, session_secret=None) as host:
        ann = Guest(host.port, "websocket", own)
        await ann.come()
        await until(lambda: len(host.namespaces[0].came) == 2)
        await ann.drop()
        await until(gone(host))
        if "pid" not in own:
            own = {name: value for name, value in own.items() if name != "offset"}
            ann.auth = own
        host.sio.recovery.take_all()
        host.namespaces[0].came.clear()
        await ann.come(**own)
        await until(lambda: len(host.namespaces[0].came) == 2)
        assert host.namespaces[0].came == [("admit", own or None), ("connect", own or None)]
        await ann.drop()


class Two(Rooms):
    """Rooms in a second namespace."""


@asynccontextmanager
async def with_namespaces(folder: Path, *names: str) -> AsyncIterator[SocketHost]:
    async with serving(folder, Two, origins=None) as host, AsyncExitStack() as stack:
        for name in names:
            one = Two(host.settings, name)
            host.sio.register_namespace(one)
            await stack.enter_async_context(one.running())
        yield host


async def join(one: Guest, namespace: str, pid: str | None = None) -> str:
    """Join a namespace; return its pid there, or "" if the connection ends."""
    claim = {"pid": pid} if pid else {}
    prefix = f"40{namespace}," if namespace != "/" else "40"
    await one.send(prefix + json.dumps(one.auth | claim))
    try:
        while not (packet := await one.packet()).startswith(prefix):
            pass
    except ConnectionError:
        return ""
    return str(json.loads(packet[len(prefix) :])["pid"])


async def test_crosswise(tmp_path: Path) -> None:
    """Two connections that resume each other's sessions do not wait for each other forever."""
    async with with_namespaces(tmp_path, "/two") as host:
        async with raw_guest(host) as ann, raw_guest(host) as bob:
            pid_of_ann, pid_of_bob = await join(ann, "/"), await join(bob, "/two")
            asked = [join(ann, "/two", pid_of_bob), join(bob, "/", pid_of_ann)]
            async with asyncio.timeout(PATIENCE):
                await asyncio.gather(*asked)
        await until(gone(host))
        async with asyncio.timeout(PATIENCE):
            await host.stop()


async def test_in_a_ring(tmp_path: Path) -> None:
    """Nor do three in a ring."""
    names = ["/", "/two", "/three"]
    async with with_namespaces(tmp_path, *names[1:]) as host:
        async with raw_guest(host) as ann, raw_guest(host) as bob, raw_guest(host) as cid:
            ring = [ann, bob, cid]
            pids = [await join(one, name) for one, name in zip(ring, names, strict=True)]
            asked = [join(ring[n], names[(n + 1) % 3], pids[(n + 1) % 3]) for n in range(len(ring))]
            async with asyncio.timeout(PATIENCE):
                await asyncio.gather(*asked)
        await until(gone(host))
        async with asyncio.timeout(PATIENCE):
            await host.stop()


@asynccontextmanager
async def raw_guest(host: SocketHost) -> AsyncIterator[Guest]:
    """A guest that has not joined."""
    one = guest(host)
    one._line = await one._stack.enter_async_context(one._way.open(host.port))
    try:
        yield one
    finally:
        await one.drop()


class Slow(Rooms):
    """Has a disconnect handler that never ends."""

    async def on_disconnect(self, sid: str, reason: str) -> None:
        await self.gate.wait()


async def test_disconnect_handler_that_never_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client whose old connection does not end gets a new session after a while."""
    monkeypatch.setattr(connecting, "_CLOSE_SECONDS", 0.2)
    async with serving(tmp_path, Slow, origins=None) as host:
        host.namespaces[0].gate = asyncio.Event()  # type: ignore[attr-defined]
        async with in_garden(host) as ann:
            await ann.drop()
            await ann.come()
            assert not ann.recovered
            host.namespaces[0].gate.set()  # type: ignore[attr-defined]
