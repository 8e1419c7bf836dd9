"""Intruders: attackers who can publish on the bus, and their messages."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from functions.contract.redis_address import Address
from socket_host.bus.redis_connection import Connection
from tests.hostile.victim import Victim
from tests.kit.buses import Host, Redis
from tests.kit.hosts import PATIENCE

MB = 1024 * 1024


class Intruder:
    """Publishes messages to the bus that no host would."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def publish(self, *bodies: Any) -> None:
        """Publish messages as they are, or as JSON."""
        texts = [body if isinstance(body, bytes) else json.dumps(body).encode() for body in bodies]
        for start in range(0, len(texts), 200):
            await self.connection.publish("socketio", texts[start : start + 200])

    async def settled(self, host: Victim) -> dict[str, Any]:
        """Wait until a host has processed all published messages; return its health."""
        had = (await host.health())["bus"]["duplicates"]
        twice = emit(uuid.uuid4().hex, namespace="/nobody")
        await self.publish(twice, twice)
        return await when(host, lambda bus: bus["duplicates"] > had)


async def when(host: Victim, so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Wait for a state of a host's bus; return the host's health."""
    async with asyncio.timeout(2 * PATIENCE):
        while not so((health := await host.health())["bus"]):  # noqa: ASYNC110 - nothing signals it
            await asyncio.sleep(0.05)
    return health


@asynccontextmanager
async def intruder(redis: Redis) -> AsyncIterator[Intruder]:
    """An intruder on the bus of a Redis."""
    connection = await Connection.open(Address.parse(redis.setting))
    try:
        yield Intruder(connection)
    finally:
        connection.close()


def emit(sender: str = "ghost", number: Any = 1, **changes: Any) -> dict[str, Any]:
    """An emit in the form of python-socketio's managers."""
    return {
        "message_id": f"{sender}:{number}",
        "method": "emit",
        "event": "news",
        "data": ["ghost"],
        "binary": False,
        "namespace": "/",
        "room": None,
        "skip_sid": None,
        "callback": None,
        "host_id": sender,
    } | changes


def announcement(subject: str, body: Any, host: str = "ghost", number: int = 1) -> dict[str, Any]:
    """A host's announcement to the others."""
    return {
        "message_id": f"{host}:{number}",
        "method": "announcement",
        "host_id": host,
        "subject": subject,
        "body": body,
    }


async def receives(speaker: Host, listener: Host, word: str = "hello") -> None:
    """Assert that one host's emit reaches the other's clients."""
    client = await listener.client()
    await speaker.sio.emit("honest", word)
    assert await client.receive("honest") == word


BAD_EMITS: list[dict[str, Any]] = [
    {"room": {"a": 1}},
    {"room": [["a"]]},
    {"room": [None]},
    {"room": 1.5},
    {"room": "x" * 2_000},
    {"room": ["x" * 1_000] * 100},
    {"skip_sid": {"a": 1}},
    {"skip_sid": [1]},
    {"namespace": None},
    {"namespace": ["/"]},
    {"namespace": "/" + "x" * 2_000},
    {"event": 1},
    {"event": ["news"]},
    {"data": "ghost"},
    {"data": {"a": 1}},
    {"callback": "abc"},
    {"callback": ["room", "/", []]},
    {"host_id": 7},
    {"host_id": "x" * 100_000},
    {"host_id": "a\nERROR forged"},
    {"message_id": 7},
    {"message_id": ["ghost", 1]},
    {"message_id": "x" * 100_000 + ":1"},
    {"message_id": "a\nb:1"},
    {"binary": True, "data": [[{"_placeholder": True, "num": 0}] * 2_000, "AAAA"]},
    {"binary": True, "data": [[{"_placeholder": True, "num": 7}], "AAAA"]},
    {"binary": True, "data": [[{"_placeholder": True, "num": -1}], "AAAA"]},
    {"binary": True, "data": [[{"_placeholder": True, "num": 0}], 5]},
    {"binary": True, "data": []},
    {"method": ["emit"]},
    {"method": {}},
]
