"""A client's queue: python-engineio's, with a count of its bytes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

from socket_host.transport.limits import UNREAD

if TYPE_CHECKING:
    from socket_host.transport.native.backlogs import Backlogs
    from socket_host.transport.native.slow_readers import SlowReaders


class Progress(Protocol):
    """A websocket that knows how far its client has read."""

    def progress(self) -> tuple[int, int]:
        """Return something that changes whenever the client reads."""


class Unread(asyncio.Queue[Any]):
    """The packets that wait for a client, as python-engineio keeps them.

    A client is behind in `backlogs` while more than `most` bytes wait, and in `slow_readers` after
    a while with more than UNREAD.
    """

    def __init__(
        self, most: int, backlogs: Backlogs[Unread], slow_readers: SlowReaders[Unread]
    ) -> None:
        super().__init__()
        self.waiting = 0  # bytes
        self.websocket: Progress | None = None  # None while the client polls
        self._most = most
        self._backlogs = backlogs
        self._slow_readers = slow_readers
        self._progress: tuple[int, int] | None = None

    @property
    def is_fetching(self) -> bool:
        """Whether the client has read something since this was last asked."""
        before = self._progress
        self._progress = None if self.websocket is None else self.websocket.progress()
        return self._progress != before

    def forget(self) -> None:
        """Note that the client has gone."""
        self._backlogs.forget(self)
        self._slow_readers.forget(self)

    def _put(self, item: Any) -> None:
        size = _size(item)
        if size and self.waiting > UNREAD:
            self._slow_readers.watch(self)
        if size and self.waiting > self._most:
            self._backlogs.add(self, size)
        self.waiting += size
        super()._put(item)

    def _get(self) -> Any:
        item = super()._get()
        self.waiting -= _size(item)
        if self.waiting <= self._most:
            self._backlogs.forget(self)
        if self.waiting <= UNREAD:
            self._slow_readers.forget(self)
        return item


def _size(packet: Any) -> int:
    """Return the size of a packet, about as it is sent; None ends the queue."""
    data = packet and packet.data
    return len(data) if isinstance(data, (str, bytes)) else 0
