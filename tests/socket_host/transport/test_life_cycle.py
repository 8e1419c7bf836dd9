"""Life-cycle hooks: they work alike on both transports, and clients cannot call them."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from socket_host.namespace import Namespace
from tests.kit.clients import raw_client
from tests.kit.hosts import on_each_transport, serving, token, url
from tests.kit.waiting import until


class Hooked(Namespace):
    """Records the calls of hooks, and does what clients request in `auth`."""

    called: list[str]

    async def on_connect(self, sid: str, environ: Any, auth: Any) -> bool | None:
        self.called.append("connect")
        await self.enter_room(sid, "garden")
        if auth.get("how") in ("keep", "keep and refuse"):
            await self.save_session(sid, {"kept": True})
        match auth.get("how"):
            case "keep and refuse":
                return False
            case "false":
                return False
            case "disconnect":
                await self.disconnect(sid)
            case "disconnect later":
                await asyncio.sleep(0)
                await self.disconnect(sid)
            case "error":
                raise RuntimeError("Oh no.")
            case "cancelled":
                raise asyncio.CancelledError
        return None

    async def on_recover(self, sid: str) -> None:
        self.called.append("recover")

    async def on_disconnect(self, sid: str, reason: str) -> None:
        self.called.append("disconnect")

    async def on_kept(self, sid: str) -> Any:
        return await self.get_session(sid)

    async def on_echo(self, sid: str, value: Any) -> Any:
        return value


@on_each_transport
@pytest.mark.parametrize("how", ["false", "disconnect", "disconnect later", "error", "cancelled"])
async def test_refused_client_was_never_connected(tmp_path: Path, transport: str, how: str) -> None:
    """A client that `on_connect` refuses or disconnects leaves nothing behind."""
    async with serving(tmp_path, Hooked, transport=transport) as host:
        hooked: Any = host.namespaces[0]
        hooked.called = []
        async with raw_client(url(host), None) as ann:
            await ann.websocket.send_str(f'40{{"session":"{token()}","how":"{how}"}}')
            assert '"message"' in await ann.receive("44")
            await until(lambda: "/" not in host.sio.manager.rooms)
        await until(lambda: not host.transport.connections())
        assert hooked.called == ["connect"]


@on_each_transport
async def test_hooks_are_not_events(tmp_path: Path, transport: str) -> None:
    """Events named like hooks, or like other methods, have no handler."""
    names = ["connect", "disconnect", "recover", "on_recover", "lifespan", "emit", "trigger_event"]
    async with serving(tmp_path, Hooked, transport=transport) as host:
        hooked: Any = host.namespaces[0]
        hooked.called = []
        async with raw_client(url(host), None) as ann:
            await ann.websocket.send_str(f'40{{"session":"{token()}"}}')
            await ann.receive("40")
            for name in names:
                assert "There is no handler" in (await ann.ask(f'["{name}"]'))["error"], name
            assert await ann.ask('["echo",1]') == 1
            assert hooked.called == ["connect"]
        await until(lambda: hooked.called == ["connect", "disconnect"])


@on_each_transport
async def test_session_ends_with_its_client(tmp_path: Path, transport: str) -> None:
    """The session of a client is empty for the next one on the same connection."""
    async with (
        serving(tmp_path, Hooked, transport=transport) as host,
        raw_client(url(host), None) as ann,
    ):
        host.namespaces[0].called = []  # type: ignore[attr-defined]
        join = f'40{{"session":"{token()}","how":"%s"}}'
        await ann.websocket.send_str(join % "keep and refuse")
        await ann.receive("44")
        await ann.websocket.send_str(join % "")
        await ann.receive("40")
        assert await ann.ask('["kept"]') == {}
        await ann.websocket.send_str("41")
        await ann.websocket.send_str(join % "keep")
        await ann.receive("40")
        assert await ann.ask('["kept"]') == {"kept": True}
        await ann.websocket.send_str("41")
        await ann.websocket.send_str(join % "")
        await ann.receive("40")
        assert await ann.ask('["kept"]') == {}


@on_each_transport
@pytest.mark.parametrize("payload", ['["x"]', '"x"', "true"])
async def test_connect_without_an_object(tmp_path: Path, transport: str, payload: str) -> None:
    """Handlers only get an object as `auth`; a CONNECT with anything else is refused."""
    async with (
        serving(tmp_path, Hooked, transport=transport, session_secret=None) as host,
        raw_client(url(host), None) as ann,
    ):
        hooked: Any = host.namespaces[0]
        hooked.called = []
        await ann.websocket.send_str("40" + payload)
        assert "must be an object" in await ann.receive("44")
        assert hooked.called == []
        await ann.websocket.send_str('40{"how":""}')
        assert "sid" in await ann.receive("40")
