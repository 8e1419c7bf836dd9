"""The room log as the host uses it: off the event loop, in order, and tolerant of outages."""

import asyncio
import contextlib
import logging
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from functools import partial
from typing import TypeVar
from weakref import WeakValueDictionary

from functions.model.room_log import Appended, Message, RoomLog, RoomLogError
from functions.model.room_logs import open_room_log
from socket_host.event_error import EventError

_log = logging.getLogger(__name__)

KEEP_SECONDS = 1.0  # a room's current text is written at most this often

MAX_WAITING = 10_000  # calls, and rooms with an unwritten text
MAX_WAITING_BYTES = 8 * 1024 * 1024  # of the texts in calls, and as much of unwritten ones

# Concurrent calls, each for a different room. A room to which many hosts write at once occupies a
# thread for seconds. Two fewer than the connections in boto3's pool.
THREADS = 8

T = TypeVar("T")


class HostRoomLog:
    """A room log whose calls can be awaited.

    Calls for one room are made one after another, so that its messages are sent in the order of
    their numbers. Other rooms do not wait for them. All methods but `start` and `keep_text` raise
    EventError, meant for the client, if the log cannot be reached.
    """

    def __init__(self, setting: str) -> None:
        self._setting = setting
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="room-log")
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()  # by room
        self._waiting = 0
        self._waiting_bytes = 0
        self._away = False
        self._texts: dict[str, str] = {}  # by room, not yet written
        self._texts_bytes = 0
        self._writing: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    async def start(self) -> None:
        """Open the log; raise RoomLogError if it cannot be opened."""
        self._sync: RoomLog = await self._in_thread(partial(open_room_log, self._setting))

    async def stop(self) -> None:
        """Write unwritten texts and close the log."""
        self._stopping.set()
        if self._writing:
            await self._writing
        await asyncio.to_thread(self._threads.shutdown)
        await asyncio.to_thread(self._sync.close)

    async def append(self, room: str, *, id: str, author: str, name: str, text: str) -> Appended:  # noqa: A002 - the wire's word
        """Store a message as the room's next, or return the one already stored under `id`."""
        append = partial(self._sync.append, room, id=id, author=author, name=name, text=text)
        return await self._call(room, append, sys.getsizeof(text))

    async def latest(self, room: str, wanted: Callable[[], bool] | None = None) -> list[Message]:
        """Return the room's last messages, as many as a page shows, oldest first.

        Raises EventError if, when it is this call's turn, `wanted` returns False.
        """
        return await self._call(room, partial(self._sync.latest, room), wanted=wanted)

    async def last(self, room: str) -> int:
        """Return the number of the room's last message; 0 if there is none."""
        latest = await self._call(room, partial(self._sync.latest, room, 1))
        return latest[0].seq if latest else 0

    async def after(
        self, room: str, seq: int, limit: int, wanted: Callable[[], bool] | None = None
    ) -> list[Message]:
        """Return the first messages that came after `seq`, oldest first; `wanted` as above."""
        return await self._call(room, partial(self._sync.after, room, seq, limit), wanted=wanted)

    async def text(self, room: str) -> str:
        """Return the room's current text, even if it has not been written yet."""
        if room in self._texts:
            return self._texts[room]
        return await self._call(room, partial(self._sync.text, room))

    def keep_text(self, room: str, text: str) -> bool:
        """Keep the room's current text, and write it within about a second.

        Returns whether this causes an additional write, rather than change one that waits already.
        """
        former = self._texts.get(room)
        size = self._texts_bytes + _size(text) - _size(former)
        if size > MAX_WAITING_BYTES or (former is None and len(self._texts) >= MAX_WAITING):
            return False
        self._texts[room] = text
        self._texts_bytes = size
        if self._writing is None:
            # With an empty context: the task outlives the event that began it.
            self._writing = Context().run(asyncio.create_task, self._write_texts())
        return former is None

    async def _write_texts(self) -> None:
        while self._texts:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), KEEP_SECONDS)
            with contextlib.suppress(EventError):  # they are written next time
                for room, text in list(self._texts.items()):
                    await self._keep(room, text)
            if self._stopping.is_set():
                break
        self._writing = None

    async def _keep(self, room: str, text: str) -> None:
        await self._call(room, partial(self._sync.keep_text, room, text))
        if self._texts[room] == text:  # it has not changed meanwhile
            del self._texts[room]
            self._texts_bytes -= _size(text)

    async def _call(
        self,
        room: str,
        call: Callable[[], T],
        size: int = 0,
        wanted: Callable[[], bool] | None = None,
    ) -> T:
        if self._waiting >= MAX_WAITING or self._waiting_bytes + size > MAX_WAITING_BYTES:
            raise _away()
        self._waiting += 1
        self._waiting_bytes += size
        try:
            async with self._turns.setdefault(room, asyncio.Lock()):
                if wanted is not None and not wanted():
                    raise EventError("The client has gone.", reason="gone")
                answer = await self._in_thread(call)
        except RoomLogError as error:
            self._note(away=True, why=str(error))
            raise _away() from None
        finally:
            self._waiting -= 1
            self._waiting_bytes -= size
        self._note(away=False)
        return answer

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    def _note(self, *, away: bool, why: str = "") -> None:
        """Log the beginning and the end of an outage, but not each failed call in between."""
        if away and not self._away:
            _log.error("%s Clients get an error that asks them to try again.", why)
        elif self._away and not away:
            _log.info("The room log can be used again.")
        self._away = away


def _size(text: str | None) -> int:
    return 0 if text is None else sys.getsizeof(text)


def _away() -> EventError:
    return EventError(
        "Messages cannot be stored or read right now. Try again in a moment.",
        reason="room log",
        retry=True,
    )
