"""A process of the development server's own: it has a name, it is listened to, it never stays."""

import asyncio
import os
import signal
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Self

from scripts import ROOT
from scripts.terminal import relay

TAIL = 40  # last lines kept, to show why a process has ended: a traceback fits
MAX_LINE = 64 * 1024  # bytes; a longer line reaches the terminal in pieces
UNENDED_SECONDS = 0.05  # after which the start of a line is shown: the rest may never come


_ENVIRON = {  # unless this environment knows better
    "PYTHONUNBUFFERED": "1",
    "PYTHONBREAKPOINT": "scripts.commands.dev.child.no_debugger",
}


class Process:
    """A Python module running in a process group of its own, out of reach of the terminal's Ctrl-C.

    What it writes is shown line by line as it comes, and the last lines are kept in `tail`.
    """

    def __init__(
        self, name: str, process: asyncio.subprocess.Process, on_line: Callable[[str], None]
    ) -> None:
        self.name = name
        self.tail: deque[str] = deque(maxlen=TAIL)
        self._process = process
        self._on_line = on_line
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    async def spawn(
        cls,
        name: str,
        module: Sequence[str],
        environ: Mapping[str, str],
        on_line: Callable[[str], None] = lambda line: None,
    ) -> Self:
        """Start `python -m` with a module and its arguments, in the root of the repository.

        Raises OSError if that cannot be done.
        """
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "scripts.commands.dev.child", *module),
            cwd=ROOT,
            env={**_ENVIRON, **os.environ, **environ},
            stdin=asyncio.subprocess.PIPE,  # its end tells the child that nobody is left here
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        return cls(name, process, on_line)

    @property
    def pid(self) -> int:
        """Its process id, and that of its group."""
        return self._process.pid

    async def wait(self) -> int:
        """Return the exit status, negative for a signal, when it has ended and said all."""
        status = await self._process.wait()
        # What it started itself may hold its output open for ever.
        self._signal(signal.SIGKILL)
        await asyncio.shield(self._listening)
        return status

    async def stop(self, grace: float) -> None:
        """Ask the process to end, and make it end after `grace` seconds."""
        self._signal(signal.SIGTERM)
        with suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self._process.wait()
        self._signal(signal.SIGKILL)
        await self.wait()

    def kill(self) -> None:
        """End the process at once; `wait` tells when it is gone."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):  # gone; macOS says it the second way
            os.killpg(self._process.pid, number)

    async def _listen(self) -> None:
        assert self._process.stdout is not None
        async for line in _lines(self._process.stdout):
            # The runtime client ends lines as CloudWatch wants them and indents with hard spaces.
            text = line.replace("\xa0", " ").replace("\r", "\n")
            for part in text.splitlines() or [""]:
                self.tail.append(part)
                relay(self.name, part)
                self._on_line(part)


async def _lines(stream: asyncio.StreamReader) -> AsyncIterator[str]:
    """Yield what is written line by line; what waits for the end of its line, after a moment."""
    unended = b""
    shown = False  # whether what stands before has been, and the end of its line is still to come
    while True:
        try:
            async with asyncio.timeout(UNENDED_SECONDS if unended else None):
                data = await stream.read(MAX_LINE)
        except TimeoutError:
            yield unended.decode(errors="replace")
            unended, shown = b"", True
            continue
        *lines, unended = (unended + data).split(b"\n")
        if shown and lines and not lines[0]:
            del lines[0]
        shown = shown and not data
        if len(unended) > MAX_LINE or (unended and not data):
            lines, unended = [*lines, unended], b""
        for line in lines:
            yield line.decode(errors="replace")
        if not data:
            return


def ended(status: int) -> str:
    """Say how a process has ended, for use after "it": `ended with status 1`."""
    if status < 0:
        return f"was killed by {signal.Signals(-status).name}"
    return f"ended with status {status}"
