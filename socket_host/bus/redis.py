"""The bus over Redis or Valkey: one channel, to which every host publishes and subscribes.

Unlike python-socketio's own manager, it keeps events that are emitted while Redis is down, and the
order of emits from several tasks. The channel and the messages are the same, so python-socketio's
managers in other programs can emit through it.
"""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import TYPE_CHECKING, Any

from functions.contract.bus import CHANNEL
from functions.contract.redis_address import Address
from socket_host.bus.outage import LONGEST_PAUSE
from socket_host.bus.outbox import Entry
from socket_host.bus.redis_connection import LARGEST, Connection
from socket_host.bus.shared import BusError, SharedBus

if TYPE_CHECKING:
    from socket_host.bus.function_queue import FunctionQueue

# Seconds to wait after an outage for the other hosts to reconnect. They all retry within the
# longest pause, and do not get what is published before they subscribe.
_GATHER_SECONDS = LONGEST_PAUSE + 1.0


class RedisBus(SharedBus):
    """A bus that is a channel of Redis or Valkey.

    It publishes and subscribes on one connection: its own messages come back with the reply.
    """

    BATCH = 500

    LARGEST = LARGEST

    def __init__(self, address: Address, functions: "FunctionQueue | None" = None) -> None:
        super().__init__()
        self._address = address
        self._functions = functions
        if functions:
            self._outages.append(functions.outage)
        self._connecting = asyncio.Lock()
        self._connection: Connection | None = None
        self._publisher: Connection | None = None  # the same, once the others have subscribed too
        self._was_away = False  # before the connection was opened
        self._listeners = 0  # when we last published, including this host
        self._outbox.taker = self._send_now

    async def start(self) -> None:
        """Start sending and receiving; return once subscribed, or after a few seconds."""
        await super().start()
        if self._functions:
            self._run(partial(self._functions.pass_on, self._outbox), self._functions.outage)

    async def _connected(self) -> Connection:
        """Return the subscribed connection; open it if there is none."""
        async with self._connecting:
            if self._connection is None or not self._connection.is_open:
                connection = await Connection.open(self._address)
                try:
                    await connection.listen(CHANNEL, self._own, self._take)
                except BaseException:
                    connection.close()
                    raise
                self._was_away = self._connection is not None
                self._connection = connection
            return self._connection

    async def _send(self, entries: list[Entry]) -> None:
        try:
            if self._publisher is None or not self._publisher.is_open:
                publisher = await self._connected()
                await self._gather(publisher)
                self._publisher = publisher
            bodies = [entry.body for entry in entries]
            self._published(await self._publisher.publish(CHANNEL, bodies))
        except OSError as error:
            raise BusError(error) from error

    def _send_now(self) -> bool:
        """Send waiting messages in this iteration of the loop, if the others have subscribed."""
        publisher = self._publisher
        if publisher is None or not publisher.is_open:
            return False
        batch = self._outbox.take_now(self.BATCH)

        def done(answer: Any) -> None:
            if isinstance(answer, Exception):
                self._unsent(batch, answer)
            else:
                self._published(answer)
                self._sent()

        publisher.publish_now(CHANNEL, [entry.body for entry in batch], done)
        return True

    def _published(self, listeners: int) -> None:
        self._listeners = listeners if isinstance(listeners, int) else 0
        # Messages arrive over the same connection as the reply, so receiving works, even though
        # this host's own messages are skipped.
        self.arrivals += 1

    async def _gather(self, publisher: Connection) -> None:
        """After an outage, wait until as many hosts have subscribed as before."""
        if not (self._was_away or self._outgoing.sentence or self._incoming.sentence):
            return
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _GATHER_SECONDS
        expected = max(self._listeners, 2)  # 1 may be from the beginning of the outage
        while loop.time() < deadline:
            if await publisher.listeners(CHANNEL) >= expected:
                return
            await asyncio.sleep(0.02)

    async def _receive(self) -> AsyncIterator[bytes]:
        try:
            connection = await self._connected()
            self._receiving()
            async for body in connection.messages():
                yield body
        except OSError as error:
            raise BusError(error) from error

    async def _leave(self) -> None:
        if self._connection is not None:
            self._connection.close()
        if self._functions:
            self._functions.close()
