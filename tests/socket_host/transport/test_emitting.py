"""Recipients of an event, in every form that `emit` accepts, and rooms."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from socket_host.namespace import Namespace
from tests.kit.clients import clients, raw_client
from tests.kit.hosts import PATIENCE, on_each_transport, serving, token, url


class Quiet(Namespace):
    """Answers nothing."""


@on_each_transport
async def test_recipients(tmp_path: Path, transport: str) -> None:
    """A list, tuple or set of rooms reaches all of them; an empty one, or an empty name, none."""
    async with serving(tmp_path, Quiet, transport=transport) as host, clients() as people:
        quiet: Any = host.namespaces[0]
        ann = await people.connect(url(host), token("Ann"))
        (sid,) = quiet._clients
        await quiet.enter_room(sid, "garden")
        for number, some in enumerate(
            ([sid], (sid, "garden"), {"garden", "attic"}, frozenset(["garden"]), "garden", sid)
        ):
            for option in ("to", "room"):
                await quiet.emit("heard", [number, option], **{option: some})
                assert await ann.receive("heard") == [number, option]
        for nobody in ([], (), set(), "", ["attic"]):
            for option in ("to", "room"):
                await quiet.emit("heard", [repr(nobody), option], **{option: nobody})
        for skipped in (sid, [sid], (sid,), {sid}):
            await quiet.emit("heard", repr(skipped), skip_sid=skipped)
            await quiet.emit("heard", repr(skipped), room=["garden"], skip_sid=skipped)
        await quiet.emit("heard", "end")
        assert await ann.receive("heard") == "end"


@on_each_transport
async def test_invalid_rooms(tmp_path: Path, transport: str) -> None:
    """A client that has gone cannot enter a room, and nobody can enter or leave the room None."""
    async with serving(tmp_path, Quiet, transport=transport) as host, clients() as people:
        quiet: Any = host.namespaces[0]
        ann = await people.connect(url(host), token("Ann"))
        (sid,) = quiet._clients
        for change in (quiet.enter_room, quiet.leave_room):
            with pytest.raises(ValueError, match="cannot be None"):
                await change(sid, None)
        with pytest.raises(ValueError, match="cannot be None"):
            await quiet.close_room(None)
        with pytest.raises(ValueError, match="not connected"):
            await quiet.enter_room("nobody", "garden")
        assert "garden" not in host.sio.manager.rooms["/"]
        await quiet.emit("heard", 1)
        assert await ann.receive("heard") == 1


@on_each_transport
async def test_ack_of_nothing(tmp_path: Path, transport: str) -> None:
    """An ack with the number 0, which no event has, does not affect the others."""
    async with (
        serving(tmp_path, Quiet, transport=transport) as host,
        raw_client(url(host), token("Ann")) as ann,
    ):
        quiet: Any = host.namespaces[0]
        (sid,) = quiet._clients
        for number in (1, 2):
            asked = asyncio.ensure_future(quiet.call("question", to=sid, timeout=PATIENCE))
            await ann.receive(f"42{number}[")
            await ann.websocket.send_str('430["zero"]')
            await ann.websocket.send_str(f'43{number}["answer"]')
            assert await asked == "answer"
