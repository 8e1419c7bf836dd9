"""Attacks, and an honest client that must not notice them."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.kit.hosts import PATIENCE, token
from tests.kit.protocol_client import Raw, frame, handshake, raw

_CHUNK = 1 << 16  # bytes written before checking whether the host has hung up


@asynccontextmanager
async def websocket(port: int, name: str | None = None) -> AsyncIterator[Raw]:
    """A raw websocket; with a name, it has joined the main namespace."""
    async with raw(port) as client:
        await client.upgrade()
        if name is not None:
            client.send(frame(b"40" + json.dumps({"session": token(name)}).encode()))
            assert (await client.frame())[1].startswith(b"40"), "the client was refused"
        yield client


async def pour(client: Raw, data: bytes, most: int) -> int:
    """Write `data` repeatedly until the host hangs up; return how many bytes that took.

    Fails if the host has accepted `most` bytes.
    """
    data *= max(1, _CHUNK // len(data))
    ended = asyncio.ensure_future(_until_end(client))
    sent = 0
    try:
        async with asyncio.timeout(PATIENCE):
            while not ended.done() and sent < most:
                client.send(data)
                sent += len(data)
                with contextlib.suppress(ConnectionError):
                    await client.writer.drain()
                await asyncio.sleep(0)
            await ended
    finally:
        ended.cancel()
    return sent


async def _until_end(client: Raw) -> None:
    with contextlib.suppress(ConnectionError):
        while await client.reader.read(_CHUNK):
            pass


class Honest:
    """A client that keeps sending events, and counts the acks."""

    def __init__(self, client: Raw) -> None:
        self.answered = 0
        self._client = client

    async def work(self) -> None:
        """Send events repeatedly, each after the ack of the one before."""
        while True:
            self._client.send(frame(b'421["busy",true]'))
            while True:
                _, payload = await self._client.frame()
                if payload == b"2":
                    self._client.send(frame(b"3"))
                if payload.startswith(b"431"):
                    break
            assert payload == b"431[{}]", payload
            self.answered += 1
            await asyncio.sleep(0.05)  # a person does not type faster


@asynccontextmanager
async def honest(port: int) -> AsyncIterator[Honest]:
    """An honest client that sends events; fails if it is closed or refused meanwhile."""
    async with websocket(port, "Honest") as client:
        person = Honest(client)
        work = asyncio.create_task(person.work())
        try:
            yield person
            before = person.answered
            async with asyncio.timeout(PATIENCE):
                while person.answered <= before and not work.done():  # noqa: ASYNC110 - nothing signals it
                    await asyncio.sleep(0.01)
            assert not work.done(), work.exception()
        finally:
            work.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await work


__all__ = ["frame", "handshake", "honest", "pour", "websocket"]
