"""The stateful half: the socket host, a child process that is kept running."""

import asyncio
import re
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress

from scripts.commands.dev import background
from scripts.commands.dev.process import Process, ended
from scripts.terminal import say

DRAIN_SECONDS = 0.2  # short, so that a save takes effect quickly
STOP_SECONDS = DRAIN_SECONDS + 3.0  # to drain and store unsaved data

SOON = 1.0  # seconds; a host that ends sooner is restarted after a pause, which doubles
MAX_PAUSE = 4.0  # seconds

_LISTENING = re.compile(r"Socket host listening on (http://\S+)")


class Host:
    """Keeps `python -m socket_host` running; knows its address, or why it has none."""

    def __init__(
        self, environ: Mapping[str, str], number: int | None = None, module: str = "socket_host"
    ) -> None:
        """`number` identifies the host if there are several."""
        self._name = f"host {number}" if number else "host"
        self._called = f"Socket host {number}" if number else "The socket host"
        self.address: str | None = None  # such as http://127.0.0.1:41234, while it listens
        self.why_away = f"{self._called} is being started."
        self.pid: int | None = None  # of the process that listens or is starting
        self._module = module
        self._environ = environ  # read at each start
        self._settled = asyncio.Event()
        self._saved = asyncio.Event()
        self._pause = 0.0
        self._keeping: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the host, and restart it whenever it ends."""
        self._keeping = background.begin(f"Keeping {self._name} running", self._keep())

    async def settled(self) -> None:
        """Wait until the host listens, or has ended before that."""
        await self._settled.wait()

    def restart(self) -> None:
        """Stop the host and start it with the current files; `settled` waits for it."""
        self._settled.clear()
        self._saved.set()

    async def stop(self) -> None:
        """Let the host drain and end."""
        if self._keeping:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)

    async def _keep(self) -> None:
        while True:
            self._saved.clear()
            started = time.monotonic()
            try:
                await self._run()
            except OSError as error:
                await self._fail(f"{self._called} cannot be started: {error}.", started)
            except Exception as error:
                background.tell(f"Running {self._name}", error)
                await self._fail(f"{self._called} cannot be run: {error!r}.", started)

    async def _run(self) -> None:
        """Start a process, and wait until it is time to start the next."""
        environ = {"DRAIN_SECONDS": str(DRAIN_SECONDS), **self._environ, "PORT": "0"}
        process = await Process.spawn(self._name, [self._module], environ, self._read_line)
        self.pid = process.pid
        started = time.monotonic()
        try:
            status = await self._until_end_or_save(process)
        finally:
            listened, self.address, self.pid = self.address is not None, None, None
            await process.stop(STOP_SECONDS)
        if status is None:
            self._pause = 0.0
            return
        self._settled.set()
        if listened or status < 0:
            self._away(f"{self._called} {ended(status)} and is being started again.")
            await self._rest(started)
        else:
            # The same code would fail in the same way.
            self._away(f"{self._called} {ended(status)} before it listened.", process.tail)
            await self._saved.wait()

    async def _until_end_or_save(self, process: Process) -> int | None:
        """Return the process's exit status, None if a save came first."""
        ending = asyncio.create_task(process.wait())
        saving = asyncio.create_task(self._saved.wait())
        try:
            await asyncio.wait([ending, saving], return_when=asyncio.FIRST_COMPLETED)
            self.why_away = f"{self._called} is being started again, because its code was saved."
            return ending.result() if ending.done() else None
        finally:
            ending.cancel()
            saving.cancel()

    async def _fail(self, sentence: str, started: float) -> None:
        """Print, once, why there is no process, and wait before the next attempt."""
        self._settled.set()
        if sentence != self.why_away:
            self._away(sentence)
        await self._rest(started)

    async def _rest(self, started: float) -> None:
        """Wait for a pause, or for a save; the pause grows while the host ends too soon."""
        soon = time.monotonic() - started < SOON
        self._pause = min(self._pause * 2 or 0.25, MAX_PAUSE) if soon else 0.0
        with suppress(TimeoutError):
            async with asyncio.timeout(self._pause):
                await self._saved.wait()

    def _away(self, sentence: str, words: Iterable[str] = ()) -> None:
        say(sentence)
        self.why_away = "\n".join([sentence, *words])

    def _read_line(self, line: str) -> None:
        if found := _LISTENING.match(line):
            self.address = found[1]
            self._settled.set()
