"""The write batch: what is sent in one turn of the event loop, as one write per client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence, Set
from typing import Protocol

from socket_host.transport.native.message import Message

_MOST_ENTRIES = 256
_MOST_BYTES = 1 << 16  # of all messages together: more would only fill the clients' buffers


class Recipient(Protocol):
    """A client, as far as it can be written to."""

    def push(self, frames: bytes) -> None:
        """Write websocket frames, unless the client has gone in the meantime."""


class Audience:
    """The clients of a room that can be written to straight away, as of one moment."""

    __slots__ = ("_places", "clients", "writes")

    def __init__(self, clients: Sequence[Recipient], writes: list[Callable[[bytes], None]]) -> None:
        self.clients = clients
        self.writes = writes
        self._places: dict[Recipient, int] | None = None

    def place(self, client: Recipient) -> int | None:
        """Return where `client` stands in the lists, or None if it is not there."""
        if self._places is None:
            self._places = {client: place for place, client in enumerate(self.clients)}
        return self._places.get(client)

    def writes_without(self, excepted: Set[Recipient]) -> list[Callable[[bytes], None]]:
        """Return the writes of all clients but `excepted`."""
        if not excepted:
            return self.writes
        places = [place for client in excepted if (place := self.place(client)) is not None]
        writes = self.writes.copy()
        for place in sorted(places, reverse=True):
            del writes[place]
        return writes


class WriteBatch:
    """Broadcasts wait here until the end of the loop's turn, then go out in order.

    As long as `pending` is true, nothing may be written to a client past this turn: an ack would
    overtake a broadcast. Whoever wants to write to one client adds it here instead.
    """

    __slots__ = ("_bytes", "_entries", "_joining", "_loop", "pending")

    def __init__(self) -> None:
        self.pending = False
        # Asking which loop runs is a system call on Python 3.11.
        self._loop: asyncio.AbstractEventLoop | None = None
        self._joining = 0  # calls of `joining` whose tasks have not all begun
        self._bytes = 0
        # (audience, those left out, message), or for one client (None, that client, message)
        self._entries: list[tuple[Audience | None, Set[Recipient], Message]] = []

    def broadcast(self, audience: Audience, left_out: Set[Recipient], message: Message) -> None:
        """Send `message` to `audience` except `left_out` at the end of this turn."""
        if not self.pending:
            self.pending = True
            self._soon(self.flush)
        self._entries.append((audience, left_out, message))
        self._bytes += len(message.frames)

    def single(self, client: Recipient, message: Message) -> None:
        """Send `message` to one client after what is pending: something has to be."""
        self._entries.append((None, {client}, message))
        self._bytes += len(message.frames)
        if self._bytes > _MOST_BYTES:  # what waits here is not known to wait for the client
            self.flush()

    @property
    def full(self) -> bool:
        """True when whoever sends in a loop should let others have their turn."""
        return self._bytes > _MOST_BYTES or len(self._entries) >= _MOST_ENTRIES

    def join(self) -> None:
        """Join what is sent from now on, until `joined` is called and the tasks begun by then."""
        self.pending = True
        self._joining += 1

    def joined(self) -> None:
        """End what `join` began, once tasks begun meanwhile have done what they can at once."""
        self._soon(self._end_joining)

    def _soon(self, call: Callable[[], None]) -> None:
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        self._loop.call_soon(call)

    def _end_joining(self) -> None:
        self._joining -= 1
        self.flush()

    def flush(self) -> None:
        """Write everything that is pending, now."""
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
    """Everybody gets the same bytes, except the few that are named in an entry."""
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
    """Gather for every client (or for `only` these) what it gets, and write it at once."""
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
