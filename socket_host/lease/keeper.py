"""The keeper of the lease: takes it, renews it, and knows for how long it holds.

No two clocks are compared. Whoever holds the lease takes it for lost LEASE_SECONDS after it began
to renew it for the last time; another takes it only after it has seen nobody renew it for longer.
A host that was stopped meanwhile may believe for a moment, before it looks at the clock, that it
holds the lease still: its number is the smaller one, by which a store can tell.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from contextvars import Context
from typing import Any, TypeVar

from socket_host.lease.row import LeaseError, LeaseStore, Row

_log = logging.getLogger(__name__)

LEASE_SECONDS = 5.0
RENEW_SECONDS = 1.5  # from one renewal to the next
WATCH_SECONDS = 1.0  # from one look at somebody else's lease to the next
_PATIENCE = 1.1 * LEASE_SECONDS  # with one that is not renewed: clocks may run at other speeds

T = TypeVar("T")


class Lease:
    """The lease of this host, while it runs; `owner` is the host's id."""

    def __init__(self, store: LeaseStore, owner: str) -> None:
        self._store = store
        self._owner = owner
        self._row: Row | None = None  # as we wrote it, while we hold the lease
        self._until = 0.0  # by the monotonic clock
        self._changed = asyncio.Event()  # replaced each time the lease is taken or lost
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="lease")
        self._stopping = asyncio.Event()
        self._away = False

    @property
    def number(self) -> int | None:
        """The fencing number while this host holds the lease, else None; it only ever grows."""
        if self._row is not None and time.monotonic() < self._until:
            return self._row.number
        return None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Compete for the lease, and release it at the end."""
        keeping = Context().run(asyncio.create_task, self._keep(), name="lease")
        try:
            yield
        finally:
            self._stopping.set()
            await keeping  # not cancelled: a write under way is to be known
            with contextlib.suppress(LeaseError):
                if self._row is not None:
                    await self._call(self._store.replace, self._row, self._row._replace(owner=""))
            self._lose()
            await asyncio.to_thread(self._thread.shutdown)
            self._store.close()

    async def held(self) -> int:
        """Wait until this host holds the lease; return its number."""
        while (number := self.number) is None:
            await self._changed.wait()
        return number

    async def hold(self, work: Callable[[int], Awaitable[object]], number: int) -> None:
        """Do `work` as long as this host holds the lease by that number; cancel it then."""
        task = asyncio.ensure_future(work(number))
        try:
            while not task.done() and self.number == number:
                changed = asyncio.ensure_future(self._changed.wait())
                left = max(0.0, self._until - time.monotonic())
                await asyncio.wait(
                    {task, changed}, timeout=left, return_when=asyncio.FIRST_COMPLETED
                )
                changed.cancel()
        finally:
            if not task.done():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        if not task.cancelled():
            task.result()

    async def _keep(self) -> None:
        seen: Row | None = None
        since = 0.0
        while not self._stopping.is_set():
            try:
                if self._row is not None:
                    await self._renew(self._row)
                else:
                    row = await self._call(self._store.read)
                    now = time.monotonic()
                    if row != seen:
                        seen, since = row, now
                    if row is None or not row.owner or now - since > _PATIENCE:
                        await self._take(row)
            except LeaseError as error:
                self._note_away(str(error))
            else:
                self._note_away("")
            if self._row is not None and self.number is None:
                self._lose()
            pause = WATCH_SECONDS if self._row is None else RENEW_SECONDS
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)

    async def _take(self, seen: Row | None) -> None:
        new = Row(self._owner, 1 if seen is None else seen.number + 1, 0)
        begun = time.monotonic()
        if await self._call(self._store.replace, seen, new):
            self._have(new, begun)
            _log.info("This host does from now on what is to be done once (%d).", new.number)

    async def _renew(self, row: Row) -> None:
        new = row._replace(beat=row.beat + 1)
        begun = time.monotonic()
        if await self._call(self._store.replace, row, new):
            self._have(new, begun)
        elif await self._call(self._store.read) == new:
            self._row = new  # by a write whose answer was lost, and which was earlier: nothing more
        else:
            self._lose()

    def _have(self, row: Row, begun: float) -> None:
        was_lost = self.number is None
        self._row, self._until = row, begun + LEASE_SECONDS
        if was_lost:
            self._tell()

    def _lose(self) -> None:
        if self._row is not None:
            self._row = None
            self._tell()

    def _tell(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _note_away(self, why: str) -> None:
        if why and not self._away:
            _log.error("The lease cannot be kept: %s. What is to be done once waits.", why)
        elif self._away and not why:
            _log.info("The lease can be kept again.")
        self._away = bool(why)

    def health(self) -> dict[str, Any]:
        """Return whether this host holds the lease, by which number, and if it can be kept."""
        number = self.number
        return {
            "status": "degraded" if self._away else "ok",
            "held": number is not None,
            **({} if number is None else {"number": number}),
        }

    async def _call(self, call: Callable[..., T], *arguments: Any) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, call, *arguments)
