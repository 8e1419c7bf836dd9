"""A wire: a port that leads to another, until it is cut, falls silent, or slows down."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress


class Wire:
    """Passes bytes both ways. `delay` returns for how many seconds to hold a piece back."""

    def __init__(self, port: int) -> None:
        self.delay: Callable[[], float] = lambda: 0
        self.port = 0
        self.to = port
        self._cut = False
        self._passes = asyncio.Event()
        self._passes.set()
        self._ends: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def cut(self) -> None:
        """Reset all connections, and new ones from now on."""
        self._cut = True
        self._reset()

    def silence(self) -> None:
        """Silently pass nothing from now on."""
        self._passes.clear()

    def heal(self, *, forget: bool = False) -> None:
        """Pass everything again, including what was held back unless `forget` is set."""
        if forget:
            self._reset()
        self._cut = False
        self._passes.set()

    def _reset(self) -> None:
        for end in self._ends:
            end.transport.abort()

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Wire"]:
        """Listen until the end of the block."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._connect(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._cut:
            writer.transport.abort()
            return
        ends = {writer}
        try:
            there_reader, there = await asyncio.open_connection("127.0.0.1", self.to)
            ends.add(there)
            self._ends |= ends
            await asyncio.gather(self._pass(reader, there), self._pass(there_reader, writer))
        except OSError:
            pass  # nothing listens there now, or an end was reset
        finally:
            self._ends -= ends
            for end in ends:
                end.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            if seconds := self.delay():
                await asyncio.sleep(seconds)
            await self._passes.wait()
            writer.write(data)
            await writer.drain()
        with suppress(OSError):
            writer.write_eof()
