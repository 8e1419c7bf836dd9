"""The write batch: joins what is sent in one iteration of the event loop into fewer writes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence, Set
from typing import Protocol

from socket_host.transport.native.message import Message

_MOST_ENTRIES = 256
_MOST_BYTES = 1 << 16  # of all messages together; more would only fill the clients' buffers


class Recipient(Protocol):
    """A client that can be written to."""

    def push(self, frames: bytes) -> None:
        """Write websocket frames, unless the client has gone in the meantime."""


class Audience:
    """A snapshot of the clients of a room that can be written to directly."""

    __slots__ = ("_places", "clients", "writes")

    def __init__(self, clients: Sequence[Recipient], writes: list[Callable[[bytes], None]]) -> None:
        self.clients = clients
        self.writes = writes
        self._places: dict[Recipient, int] | None = None

    def place(self, client: Recipient) -> int | None:
        """Return the index of `client` in the lists; None if it is not in them."""
        if self._places is None:
            self._places = {client: place for place, client in enumerate(self.clients)}
        return self._places.get(client)

    def writes_without(self, excepted: Set[Recipient]) -> list[Callable[[bytes], None]]:
        """Return the writes of all clients except `excepted`."""
        if not excepted:
            return self.writes
        places = [place for client in excepted if (place := self.place(client)) is not None]
        writes = self.writes.copy()
        for place in sorted(places, reverse=True):
            del writes[place]
        return writes


class WriteBatch:
    """Broadcasts that are sent, in order, at the end of this iteration of the event loop.

    While `pending` is true, nothing may be written to a client directly, or an ack could overtake a
    broadcast. Messages to single clients are added to the batch instead.
    """

    __slots__ = ("_bytes", "_entries", "_joining", "_loop", "pending")

    def __init__(self) -> None:
        self.pending = False
        # Kept because `get_running_loop` makes a system call on Python 3.11.
        self._loop: asyncio.AbstractEventLoop | None = None
        self._joining = 0  # calls of `join` that have not ended
        self._bytes = 0
        # (audience, clients left out, message), or (None, one client, message)
        self._entries: list[tuple[Audience | None, Set[Recipient], Message]] = []

    def broadcast(self, audience: Audience, left_out: Set[Recipient], message: Message) -> None:
        """Send `message` to `audience` except `left_out` at the end of this iteration."""
        if not self.pending:
            self.pending = True
            self._soon(self.flush)
        self._entries.append((audience, left_out, message))
        self._bytes += len(message.frames)

    def single(self, client: Recipient, message: Message) -> None:
        """Send `message` to one client after what is pending; something must be."""
        self._entries.append((None, {client}, message))
        self._bytes += len(message.frames)
        if self._bytes > _MOST_BYTES:  # not counted in the client's backlog before it is written
            self.flush()

    @property
    def full(self) -> bool:
        """Whether a task that sends in a loop should yield to others."""
        return self._bytes > _MOST_BYTES or len(self._entries) >= _MOST_ENTRIES

    def join(self) -> None:
        """Start joining what is sent, until `joined` is called."""
        self.pending = True
        self._joining += 1

    def joined(self) -> None:
        """Stop joining, once tasks that were started meanwhile have run for the first time."""
        self._soon(self._end_joining)

    def _soon(self, call: Callable[[], None]) -> None:
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        self._loop.call_soon(call)

    def _end_joining(self) -> None:
        self._joining -= 1
        self.flush()

    def flush(self) -> None:
        """Write everything that is pending."""
        entries, self._entries = self._entries, []
        self.pending = self._joining > 0
        self._bytes = 0
        audiences = {id(entry[0]): entry[0] for entry in entries if entry[0] is not None}
        if len(audiences) == 1:
            _write_shared(entries, *audiences.values())
        elif entries:
            _write_each(entries, None)


def _write_shared(
    entries: list[tuple[Audience | None, Set[Recipient], Message]], audience: Audience
) -> None:
    """Write the same bytes to all clients except the few that an entry names."""
    named: set[Recipient] = set()
    named.update(*(clients for _, clients, _ in entries))
    data = b"".join([message.frames for to, _, message in entries if to is not None])
    for write in audience.writes_without(named):
        write(data)
    if named:
        _write_each(entries, named)


def _write_each(
    entries: list[tuple[Audience | None, Set[Recipient], Message]], only: Set[Recipient] | None
) -> None:
    """Join the messages of each client, or of each in `only`, and write them."""
    outgoing: dict[Recipient, list[bytes]] = {}
    for audience, named, message in entries:
        clients: Iterable[Recipient] = named
        if audience is not None:
            clients = _recipients(audience, named, only)
        for client in clients:
            outgoing.setdefault(client, []).append(message.frames)
    for client, frames in outgoing.items():
        client.push(b"".join(frames))


def _recipients(
    audience: Audience, left_out: Set[Recipient], only: Set[Recipient] | None
) -> Iterable[Recipient]:
    if only is None:
        return [client for client in audience.clients if client not in left_out]
    return [one for one in only if one not in left_out and audience.place(one) is not None]
