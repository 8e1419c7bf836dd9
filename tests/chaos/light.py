"""Lightweight clients, a thousand in one process, with a plan from stdin: `-m tests.chaos.light`.

They implement a minimum of the page's protocol: a message after a gap waits until `history` has
filled it; a message without an ack is sent again with its id; a client that loses its host connects
to any host. Prints `third` when a third of all messages is acked, sends the last third only after
reading a line, and finally prints the counts as JSON.
"""

import asyncio
import json
import random
import sys
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import uvloop

from socket_host import open_files
from tests.kit.hosts import token

ROOM = "volume"
DEADLINE = 240  # seconds


@dataclass
class Plan:
    """The clients, how much each writes, and what has happened so far."""

    urls: list[str]
    clients: int
    senders: int
    messages: int  # of each sender
    acked: dict[str, int] = field(default_factory=dict)  # seq by id
    ids: dict[int, str] = field(default_factory=dict)  # id by seq, as first seen
    connects: int = 0
    sends: int = 0
    asked: int = 0  # requests for history, because of a gap
    doubled: int = 0  # messages that arrived twice on one connection
    differing: int = 0  # messages that clients saw differently
    go: asyncio.Event = field(default_factory=asyncio.Event)
    done: asyncio.Event = field(default_factory=asyncio.Event)
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    here: int = 0
    finished: int = 0

    @property
    def total(self) -> int:
        return self.senders * self.messages

    def ack(self, id_: str, seq: int) -> None:
        self.acked[id_] = seq
        if len(self.acked) == self.total // 3:
            print("third", flush=True)


class Client(asyncio.Protocol):
    """One visitor, over all its connections."""

    def __init__(self, plan: Plan, number: int) -> None:
        self.plan = plan
        self.name = f"Visitor {number}"
        self.last = 0
        self._token = token(self.name)
        self._early: dict[int, str] = {}
        self._heard: set[int] = set()  # on this connection
        self._number = 0
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._joined = asyncio.Event()
        self._healing = False
        self._tasks: set[asyncio.Task[None]] = set()

    async def connect(self) -> None:
        """Connect to a running host."""
        loop = asyncio.get_running_loop()
        while True:
            address = urlsplit(random.choice(self.plan.urls))
            try:
                await loop.create_connection(lambda: self, address.hostname, address.port)
                return
            except OSError:
                await asyncio.sleep(random.uniform(0.05, 0.3))

    async def write(self, count: int) -> None:
        """Send messages one after another."""
        for number in range(count):
            if number >= count * 2 // 3:
                await self.plan.go.wait()
            id_ = f"{self.name} {number}"
            while not (seq := await self._try(id_)):  # noqa: ASYNC110 - the host is asked again
                await asyncio.sleep(0.1)
            self.plan.ack(id_, seq)
            self._show(seq, id_)

    async def _try(self, id_: str) -> int:
        await self._joined.wait()
        self.plan.sends += 1
        try:
            answer = await self._ask("message", {"id": id_, "text": id_})
        except ConnectionError:
            return 0
        return int(answer.get("seq", 0))

    async def _ask(self, event: str, data: dict[str, Any]) -> Any:
        self._number += 1
        number, answer = self._number, asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        self._send(f"42{number}{json.dumps([event, data])}")
        return await answer

    async def _join(self) -> None:
        try:
            state = await self._ask("enter", {"room": ROOM, "after": self.last})
        except ConnectionError:
            return
        self.plan.here += not self._joined.is_set()
        if self.plan.here == self.plan.clients:
            self.plan.ready.set()
        self._joined.set()
        self._take(state["messages"])
        if state["more"]:
            await self._heal()

    async def _heal(self) -> None:
        if self._healing:
            return
        self._healing = more = True
        try:
            while more:
                self.plan.asked += 1
                answer = await self._ask("missed", {"after": self.last})
                self._take(answer.get("messages", []))
                more = answer.get("more") or answer.get("retry")
        except ConnectionError:
            pass
        finally:
            self._healing = False

    def _take(self, messages: list[dict[str, Any]]) -> None:
        for message in messages:
            self._show(message["seq"], message["id"])

    def _show(self, seq: int, id_: str) -> None:
        if self.plan.ids.setdefault(seq, id_) != id_:
            self.plan.differing += 1
        if seq <= self.last:
            return
        self._early[seq] = id_
        while self._early.pop(self.last + 1, None):
            self.last += 1
            if self.last == self.plan.total:
                self.plan.finished += 1
                if self.plan.finished == self.plan.clients:
                    self.plan.done.set()

    # The parts of Engine.IO and Socket.IO that the host uses here

    def _hear(self, packet: bytes) -> None:
        if packet.startswith(b'42["message",'):
            message = json.loads(packet[2:])[1]
            self.plan.doubled += message["seq"] in self._heard
            self._heard.add(message["seq"])
            self._show(message["seq"], message["id"])
            if self._early:
                self._begin(self._heal())
        elif packet == b"2":
            self._send("3")
        elif packet.startswith(b"43"):
            number, _, values = packet[2:].partition(b"[")
            self._answers.pop(int(number)).set_result(json.loads(b"[" + values)[0])
        elif packet.startswith(b"40"):
            self.plan.connects += 1
            self._begin(self._join())
        elif packet.startswith(b"0"):
            self._send("40" + json.dumps({"session": self._token}))
        elif packet.startswith((b"1", b"41", b"44")):
            self._transport.close()

    def _begin(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # The websocket

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._buffer = b""
        self._open = False
        self._heard.clear()
        transport.write(
            b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: volume.test\r\n"
            b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )

    def connection_lost(self, exc: Exception | None) -> None:
        self.plan.here -= self._joined.is_set()
        self._joined.clear()
        answers, self._answers = self._answers, {}
        for answer in answers.values():
            answer.set_exception(ConnectionResetError())
        self._begin(self.connect())

    def data_received(self, data: bytes) -> None:
        data = self._buffer + data
        at = 0
        if not self._open:
            head, end, _ = data.partition(b"\r\n\r\n")
            if not end:
                self._buffer = data
                return
            if b" 101 " not in head[:20]:
                self._transport.abort()
                return
            self._open = True
            at = len(head) + 4
        while frame := _frame(data, at):
            at, opcode, payload = frame
            if opcode == 8:
                self._transport.close()
            elif opcode == 1:
                self._hear(payload)
        self._buffer = data[at:]

    def _send(self, packet: str) -> None:
        payload = packet.encode()
        # A mask of zeros leaves the payload as it is.
        if len(payload) < 126:
            head = bytes((0x81, 0x80 | len(payload)))
        else:
            head = b"\x81\xfe" + len(payload).to_bytes(2, "big")
        self._transport.write(head + b"\0\0\0\0" + payload)


def _frame(data: bytes, at: int) -> tuple[int, int, bytes] | None:
    """Return a frame's end, opcode and payload; None if it is incomplete."""
    if len(data) < at + 2:
        return None
    opcode, length = data[at] & 15, data[at + 1]
    start = at + 2
    if length >= 126:
        width = 2 if length == 126 else 8
        length = int.from_bytes(data[start : start + width], "big")
        start += width
    end = start + length
    return (end, opcode, data[start:end]) if len(data) >= end else None


async def main() -> None:
    """Run the plan from stdin; print the results."""
    plan = Plan(**json.loads(sys.stdin.readline()))
    open_files.allow(plan.clients)
    clients = [Client(plan, number) for number in range(plan.clients)]
    for some in range(0, plan.clients, 50):
        await asyncio.gather(*(client.connect() for client in clients[some : some + 50]))
    asyncio.get_running_loop().add_reader(sys.stdin, plan.go.set)
    try:
        async with asyncio.timeout(DEADLINE):
            await plan.ready.wait()
            await asyncio.gather(*(c.write(plan.messages) for c in clients[: plan.senders]))
            await plan.done.wait()
    except TimeoutError:
        pass
    print(json.dumps(_counts(plan, clients)), flush=True)


def _counts(plan: Plan, clients: list[Client]) -> dict[str, Any]:
    return {
        "seen": sum(client.last for client in clients),
        "complete": sum(client.last == plan.total for client in clients),
        "acked": len(plan.acked),
        "order": [plan.ids.get(seq) for seq in range(1, plan.total + 1)],
        "acks": plan.acked,
        "sends": plan.sends,
        "connects": plan.connects,
        "asked": plan.asked,
        "doubled": plan.doubled,
        "differing": plan.differing,
    }


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
