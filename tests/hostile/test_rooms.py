"""What rooms take is bounded, though handlers let clients name them."""

import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from socket_host import namespace
from socket_host.namespace import Namespace
from tests.kit.hosts import on_each_transport, serving, token
from tests.kit.protocol_client import http_client


class Hotel(Namespace):
    """Lets clients enter any room, and leave it."""

    async def on_enter(self, sid: str, room: str) -> int:
        await self.enter_room(sid, room)
        return len(self.rooms(sid))

    async def on_leave(self, sid: str, room: str) -> int:
        await self.leave_room(sid, room)
        return len(self.rooms(sid))

    async def on_close(self, sid: str, room: str) -> int:
        await self.close_room(room)
        return len(self.rooms(sid))


@on_each_transport
async def test_rooms_of_a_client(
    transport: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client is in so many rooms at the most, and their names are not long."""
    monkeypatch.setattr(namespace, "MOST_ROOMS", 3)
    async with AsyncExitStack() as stack:
        host = await stack.enter_async_context(serving(tmp_path, Hotel, transport=transport))
        http = await stack.enter_async_context(http_client(host.port))
        ann = await stack.enter_async_context(http.websocket())
        await ann.receive()
        await ann.send("40" + json.dumps({"session": token("Ann")}))
        await ann.receive()

        async def ask(event: str, room: str) -> Any:
            await ann.send("421" + json.dumps([event, room]))
            return json.loads((await ann.receive())[3:])[0]

        assert "too long" in (await ask("enter", "x" * 600))["error"]
        assert [await ask("enter", room) for room in "aabc"] == [2, 2, 3, 4]
        assert "too many" in (await ask("enter", "d"))["error"]
        for unknown in ("d", "a" * 600, "c", "c"):
            await ask("leave", unknown)
        assert await ask("enter", "d") == 4
        assert "too many" in (await ask("enter", "e"))["error"]
        assert await ask("close", "d") == 3
        assert await ask("enter", "e") == 4
