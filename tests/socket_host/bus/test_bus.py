"""Bus messages are understood by python-socketio's managers."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import socketio
from aiohttp import web
from aiohttp.test_utils import TestServer
from socketio.async_pubsub_manager import AsyncPubSubManager

from functions.contract.bus import (
    MAX_BYTES,
    BusMessageError,
    Topic,
    encode,
    encode_emit,
    loopback_token,
)


class QueueManager(AsyncPubSubManager):  # type: ignore[misc] - python-socketio has no types
    """python-socketio's manager, with a queue for a bus."""

    def __init__(self) -> None:
        super().__init__()
        self.bus: asyncio.Queue[str] = asyncio.Queue()

    async def _publish(self, data: Any) -> None:
        """Do nothing: there are no other hosts."""

    async def _listen(self) -> AsyncIterator[str]:
        while True:
            yield await self.bus.get()


async def test_managers_understand_it() -> None:
    """A host that receives the message emits the event, with its data, to the room and no other."""
    manager = QueueManager()
    server = socketio.AsyncServer(async_mode="aiohttp", client_manager=manager)
    app = web.Application()
    server.attach(app)

    @server.event  # type: ignore[untyped-decorator] - python-socketio has no types
    async def connect(sid: str, *_: Any) -> None:
        await server.enter_room(sid, "plaza")

    received: asyncio.Queue[Any] = asyncio.Queue()
    async with TestServer(app) as host, socketio.AsyncSimpleClient() as client:
        await client.connect(str(host.make_url("/")), transports=["websocket"])
        client.client.on("news", received.put)
        manager.bus.put_nowait(encode_emit("news", "elsewhere", room="garden", sender="page"))
        for data in ({"a": ["é", 1]}, ["one argument"], [1, 2], "\ud800\uffff\0"):
            manager.bus.put_nowait(encode_emit("news", data, room="plaza", sender="page"))
            assert await asyncio.wait_for(received.get(), 10) == data
        manager.bus.put_nowait(encode_emit("news", "to all", sender="page"))
        assert await asyncio.wait_for(received.get(), 10) == "to all"
    manager.thread.cancel()


@pytest.mark.parametrize("data", [{1, 2}, float("nan"), object()])
def test_data_that_is_not_json_is_refused(data: object) -> None:
    """Data that other hosts could not read is not sent over the bus."""
    with pytest.raises(BusMessageError, match="cannot be sent as JSON"):
        encode_emit("news", data, sender="page")


def test_every_character_can_be_sent() -> None:
    """Characters that SQS does not accept are escaped in the message."""
    for text in ("\0\x08\x1f", "\ud800", "\ufffe\uffff", "\t\n é \U0001f98a"):
        sent = encode_emit("news", text, sender="page")
        assert not re.search("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", sent)
        assert json.loads(sent)["data"] == [text]


def test_text_is_not_escaped_needlessly() -> None:
    """Text beyond ASCII takes as many bytes as in UTF-8, so that a full message still fits."""
    assert len(encode_emit("news", "ж" * 100_000, sender="page").encode()) < MAX_BYTES


def test_id_comes_first() -> None:
    """A host recognises its own messages by their first bytes."""
    message = {"method": "close_room", "host_id": "other"}
    assert encode(message, "me:7").startswith('{"message_id":"me:7","method":')


def test_topic_is_parsed_from_its_arn() -> None:
    """The ARN has the region and account of the topic and its queues."""
    topic = Topic.parse("sns:arn:aws-cn:sns:cn-north-1:123456789012:sidepath-Bus_1.fifo")
    assert topic == Topic(
        arn="arn:aws-cn:sns:cn-north-1:123456789012:sidepath-Bus_1.fifo",
        partition="aws-cn",
        region="cn-north-1",
        account="123456789012",
        name="sidepath-Bus_1",
    )


def test_loopback_token_keeps_the_secret() -> None:
    """Each secret has its own token, which does not reveal it."""
    one, other = loopback_token("a" * 32), loopback_token("b" * 32)
    assert one != other
    assert "a" * 32 not in one


def test_too_large_message_is_refused() -> None:
    """A message above the limit is refused with a sentence, not with AWS's error."""
    room = len(encode_emit("news", "", sender="page"))
    text = encode_emit("news", "x" * (MAX_BYTES - room), sender="page")
    assert len(json.loads(text)["data"][0]) == MAX_BYTES - room
    with pytest.raises(BusMessageError, match=str(MAX_BYTES)):
        encode_emit("news", "x" * (MAX_BYTES - room + 1), sender="page")
