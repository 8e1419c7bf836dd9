"""A crowd of honest clients: many idle ones, and some that send an event every few seconds.

`python -m tests.hostile.people PORT IDLE ACTIVE SECONDS` connects them, prints `ready`, and finally
a line of JSON: how many were lost, the number of acks, and their delays. The idle ones are in the
plaza; the active ones are in rooms of ten.
"""

import asyncio
import json
import random
import resource
import sys
from typing import Any

import uvloop

from tests.kit.hosts import token
from tests.kit.protocol_client import frame, handshake

_AT_ONCE = 200  # concurrent handshakes
_PAUSE = 4.0  # seconds between two events of one active client, on average
_PING, _PONG = b"\x81\x012", frame(b"3")
_EVENT = frame(b'421["busy",true]')
_ACK = b"431[{}]"
_ROOM = 10  # people in each room


class Person(asyncio.Protocol):
    """One honest client."""

    def __init__(self, name: str, crowd: "Crowd") -> None:
        self._name = name
        self._crowd = crowd
        self._loop = asyncio.get_running_loop()
        self._asked = 0.0
        self.joined = self._loop.create_future()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.write(handshake())

    def data_received(self, data: bytes) -> None:
        if b'"pingInterval"' in data:
            connect = json.dumps({"session": token(self._name)})
            self._transport.write(frame(b"40" + connect.encode()))
        if (b'40{"sid"' in data or b'432[{"room"' in data) and not self.joined.done():
            self.joined.set_result(None)
        if _PING in data:
            self._transport.write(_PONG)
        if _ACK in data:
            self._crowd.delays.append(self._loop.time() - self._asked)
            self.send_events()

    async def join(self, room: str) -> None:
        """Move to a room."""
        self.joined = self._loop.create_future()
        self._transport.write(frame(f'422["enter",{{"room":"{room}"}}]'.encode()))
        await self.joined

    def send_events(self) -> None:
        """Send the next event after a while."""
        self._loop.call_later(random.uniform(0.5, 1.5) * _PAUSE, self._ask)

    def _ask(self) -> None:
        self._asked = self._loop.time()
        self._transport.write(_EVENT)

    def connection_lost(self, exc: Exception | None) -> None:
        self._crowd.lost += 1
        if not self.joined.done():
            self.joined.set_result(None)


class Crowd:
    """All honest clients together."""

    def __init__(self, port: int) -> None:
        self.lost = 0
        self.delays: list[float] = []
        self._port = port

    async def gather(self, idle: int, active: int) -> None:
        """Connect all, and start the active ones."""
        slots = asyncio.Semaphore(_AT_ONCE)

        async def come(number: int) -> Person:
            async with slots:
                loop = asyncio.get_running_loop()
                _, person = await loop.create_connection(
                    lambda: Person(f"p{number}", self), "127.0.0.1", self._port
                )
                await person.joined
                return person

        people = await asyncio.gather(*(come(number) for number in range(idle + active)))
        for number, person in enumerate(people[:active]):
            await person.join(f"room-{number // _ROOM}")
        for person in people[:active]:
            person.send_events()

    def report(self) -> dict[str, Any]:
        """Return the results; delays are in milliseconds."""
        delays = sorted(self.delays)
        ranks = {"p50": 0.5, "p99": 0.99, "max": 1.0}
        at = {name: delays[min(len(delays) - 1, int(len(delays) * q))] for name, q in ranks.items()}
        return {
            "lost": self.lost,
            "acks": len(delays),
            **{name: round(1000 * value, 1) for name, value in at.items()},
        }


async def main(port: int, idle: int, active: int, seconds: float) -> None:
    """Run for some seconds, and print the report."""
    crowd = Crowd(port)
    await crowd.gather(idle, active)
    print("ready", flush=True)
    await asyncio.sleep(seconds)
    print(json.dumps(crowd.report()), flush=True)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    uvloop.run(main(*map(int, sys.argv[1:4]), float(sys.argv[4])))
