"""A bus message is what python-socketio's managers act on."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import socketio
from aiohttp import web
from aiohttp.test_utils import TestServer
from socketio.async_pubsub_manager import AsyncPubSubManager

from functions.contract.bus import MAX_BYTES, BusMessageError, encode_emit


class QueueManager(AsyncPubSubManager):  # type: ignore[misc] - python-socketio has no types
    """python-socketio's manager, with a queue for a bus."""

    def __init__(self) -> None:
        super().__init__()
        self.bus: asyncio.Queue[str] = asyncio.Queue()

    async def _publish(self, data: Any) -> None:
        """Nobody else listens."""

    async def _listen(self) -> AsyncIterator[str]:
        while True:
            yield await self.bus.get()


async def test_managers_understand_it() -> None:
    """A host that hears the message emits the event, with its data, to the room and no other."""
    manager = QueueManager()
    server = socketio.AsyncServer(async_mode="aiohttp", client_manager=manager)
    app = web.Application()
    server.attach(app)

    @server.event  # type: ignore[untyped-decorator] - python-socketio has no types
    async def connect(sid: str, *_: Any) -> None:
        await server.enter_room(sid, "lobby")

    heard: asyncio.Queue[Any] = asyncio.Queue()
    async with TestServer(app) as host, socketio.AsyncSimpleClient() as client:
        await client.connect(str(host.make_url("/")), transports=["websocket"])
        client.client.on("news", heard.put)
        manager.bus.put_nowait(encode_emit("news", "elsewhere", room="garden", sender="page"))
        manager.bus.put_nowait(encode_emit("news", {"a": ["é", 1]}, room="lobby", sender="page"))
        assert await asyncio.wait_for(heard.get(), 10) == {"a": ["é", 1]}
        manager.bus.put_nowait(encode_emit("news", "to all", sender="page"))
        assert await asyncio.wait_for(heard.get(), 10) == "to all"
    manager.thread.cancel()


@pytest.mark.parametrize("data", [{1, 2}, float("nan"), object()])
def test_data_that_is_no_json_is_refused(data: object) -> None:
    """Data that the other side could not read never goes over the bus."""
    with pytest.raises(BusMessageError, match="cannot be written as JSON"):
        encode_emit("news", data, sender="page")


def test_too_large_message_is_refused() -> None:
    """The limit of the bus is met with a sentence, not with AWS's error."""
    room = len(encode_emit("news", "", sender="page"))
    text = encode_emit("news", "x" * (MAX_BYTES - room), sender="page")
    assert len(json.loads(text)["data"]) == MAX_BYTES - room
    with pytest.raises(BusMessageError, match=str(MAX_BYTES)):
        encode_emit("news", "x" * (MAX_BYTES - room + 1), sender="page")
