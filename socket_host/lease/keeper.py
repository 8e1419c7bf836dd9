"""The keeper of the lease: takes it, renews it, and knows when it expires.

Clocks of different hosts are never compared. A holder considers its lease expired LEASE_SECONDS
after it began its last renewal; another host takes the lease only if it has seen no renewal for
longer than that. A host that was suspended may briefly act as if it still held the lease. Its
number is then lower than the new holder's, so a store can reject its writes.
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
RENEW_SECONDS = 1.5  # between two renewals
WATCH_SECONDS = 1.0  # between two reads of another host's lease
_PATIENCE = 1.1 * LEASE_SECONDS  # longer than LEASE_SECONDS, because clocks differ in speed

T = TypeVar("T")


class Lease:
    """This host's view of the lease; `owner` is the host's id."""

    def __init__(self, store: LeaseStore, owner: str) -> None:
        self._store = store
        self._owner = owner
        self._row: Row | None = None  # as this host wrote it, while it holds the lease
        self._until = 0.0  # when the lease expires, by the monotonic clock
        self._changed = asyncio.Event()  # set, and replaced, when the lease is taken or lost
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="lease")
        self._stopping = asyncio.Event()
        self._away = False

    @property
    def number(self) -> int | None:
        """The fencing number while this host holds the lease, else None; it never decreases."""
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
            await keeping  # not cancelled, so that the result of a pending write is known
            with contextlib.suppress(Exception):  # then it expires
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
        """Run `work(number)`, and cancel it once this host no longer holds the lease `number`."""
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
                self._note_outage(str(error))
            except Exception as error:  # from a bug, or an invalid response of the store
                _log.exception("The lease could not be kept.")
                self._note_outage(repr(error))
            else:
                self._note_outage("")
            if self._row is not None and self.number is None:
                self._lose()
            pause = WATCH_SECONDS if self._row is None else RENEW_SECONDS
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)

    async def _take(self, seen: Row | None) -> None:
        new = Row(self._owner, 1 if seen is None else seen.number + 1, 0)
        begun = time.monotonic()
        if await self._call(self._store.replace, seen, new):
            self._extend(new, begun)
            _log.info("This host took the lease, number %d: it runs the `once` tasks.", new.number)

    async def _renew(self, row: Row) -> None:
        new = row._replace(beat=row.beat + 1)
        begun = time.monotonic()
        if await self._call(self._store.replace, row, new):
            self._extend(new, begun)
        elif await self._call(self._store.read) == new:
            # An earlier attempt at this write succeeded, but its response was lost. It is not known
            # when, so the expiry stays.
            self._row = new
        else:
            self._lose()

    def _extend(self, row: Row, begun: float) -> None:
        was_lost = self.number is None
        self._row, self._until = row, begun + LEASE_SECONDS
        if was_lost:
            self._notify()

    def _lose(self) -> None:
        if self._row is not None:
            self._row = None
            self._notify()

    def _notify(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _note_outage(self, why: str) -> None:
        if why and not self._away:
            _log.error("The lease cannot be read or written: %s. The `once` tasks are paused.", why)
        elif self._away and not why:
            _log.info("The lease can be read and written again.")
        self._away = bool(why)

    def health(self) -> dict[str, Any]:
        """Return the state of the store, whether this host holds the lease, and its number."""
        number = self.number
        return {
            "status": "degraded" if self._away else "ok",
            "held": number is not None,
            **({} if number is None else {"number": number}),
        }

    async def _call(self, call: Callable[..., T], *arguments: Any) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, call, *arguments)
