"""A child process of scripts/dev: its output is shown, and it never outlives its parent."""

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

TAIL = 40  # last lines kept, to show why a process has ended; enough for a traceback
MAX_LINE = 64 * 1024  # bytes; a longer line reaches the terminal in pieces
PARTIAL_LINE_SECONDS = 0.05  # after which a line without its end is shown, such as a prompt


_ENVIRON = {  # defaults, for variables that are not set
    "PYTHONUNBUFFERED": "1",
    "PYTHONBREAKPOINT": "scripts.commands.dev.child.no_debugger",
}


class Process:
    """A Python module in a process group of its own, which the terminal's Ctrl-C does not reach.

    Its output is shown line by line, and the last lines are kept in `tail`.
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

        Raises OSError if it cannot be started.
        """
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "scripts.commands.dev.child", *module),
            cwd=ROOT,
            env={**_ENVIRON, **os.environ, **_past_proxies(os.environ), **environ},
            stdin=asyncio.subprocess.PIPE,  # its end tells the child that this process has ended
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        return cls(name, process, on_line)

    @property
    def pid(self) -> int:
        """The id of the process and of its group."""
        return self._process.pid

    async def wait(self) -> int:
        """Return the exit status, negative for a signal, when its output has ended."""
        status = await self._process.wait()
        # Its own children could keep the output open.
        self._signal(signal.SIGKILL)
        await asyncio.shield(self._listening)
        return status

    async def stop(self, grace: float) -> None:
        """Ask the process to end, and kill it after `grace` seconds."""
        self._signal(signal.SIGTERM)
        with suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self._process.wait()
        self._signal(signal.SIGKILL)
        await self.wait()

    def kill(self) -> None:
        """Kill the process; `wait` returns when it has ended."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):  # it has ended; macOS raises the second
            os.killpg(self._process.pid, number)

    async def _listen(self) -> None:
        assert self._process.stdout is not None
        async for line in _lines(self._process.stdout):
            # The runtime client ends lines with \r and indents with no-break spaces for CloudWatch.
            text = line.replace("\xa0", " ").replace("\r", "\n")
            for part in text.splitlines() or [""]:
                self.tail.append(part)
                relay(self.name, part)
                self._on_line(part)


def _past_proxies(environ: Mapping[str, str]) -> dict[str, str]:
    """Return variables that make a child reach this machine without the user's HTTP proxy."""
    former = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    if former.strip() == "*":  # no proxy for anything
        return {}
    names = ",".join(filter(None, [former, "localhost,127.0.0.1,::1"]))
    return {"no_proxy": names, "NO_PROXY": names}


async def _lines(stream: asyncio.StreamReader) -> AsyncIterator[str]:
    """Yield the output line by line, and an unfinished line after PARTIAL_LINE_SECONDS."""
    unended = b""
    shown = False  # whether the start of the current line has already been yielded
    while True:
        try:
            async with asyncio.timeout(PARTIAL_LINE_SECONDS if unended else None):
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
    """Return how a process has ended, such as `ended with status 1`."""
    if status < 0:
        return f"was killed by {signal.Signals(-status).name}"
    return f"ended with status {status}"
