"""Runs one function once, for `scripts/dev --run NAME`."""

import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from scripts.commands.dev import event
from scripts.commands.dev.function import make_function
from scripts.commands.dev.functions import Functions
from scripts.commands.dev.invocation import FunctionError
from scripts.terminal import say

_RELAY = "relay"  # file with the address where a running site takes its functions' emits


class RunError(Exception):
    """The function was not run, or failed; the text says why."""


async def run_now(
    functions: Functions,
    name: str,
    file: Path | None,
    environ: Mapping[str, str],
    *,
    plain: bool = False,
) -> None:
    """Run a function once and print its result as JSON, or raise RunError.

    `file` holds the event; without one, the function gets an example of its usual event.
    """
    known = {functions.edge.name: functions.edge, **functions.others}
    if name not in known:
        why = next(
            (problem for problem in functions.problems if problem.startswith(f"{name} ")), ""
        )
        raise RunError(why or f"There is no function {name}. The template has {', '.join(known)}.")
    settings, is_edge = known[name], name == functions.edge.name
    given = _read(file) if file else event.usual(settings, is_edge=is_edge)
    if missing := [each for each in settings.unknown(environ) if each not in os.environ]:
        say(f"No value here for {', '.join(missing)}: set it in the environment if it is needed.")
    function = make_function(settings, environ=environ, plain=plain, is_edge=is_edge)
    try:
        print(json.dumps(await function.invoke(given), indent=2), flush=True)
    except FunctionError as error:
        raise RunError(f"{name} failed: {error.sentence}") from None
    finally:
        await function.stop()


def _read(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise RunError(f"--event {file} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise RunError(f"--event {file} is not JSON: {error}.") from None


@contextmanager
def relaying(data: Path, address: str) -> Iterator[None]:
    """Let functions that are run by hand reach the sockets of this site."""
    file = data / _RELAY
    with suppress(OSError):
        data.mkdir(parents=True, exist_ok=True)
        file.write_text(address)
    try:
        yield
    finally:
        with suppress(OSError):
            if file.read_text() == address:
                file.unlink()


def relay_address(data: Path) -> str:
    """Return where a running site with this data takes emits; empty if none is running."""
    try:
        address = (data / _RELAY).read_text()
        parts = urlsplit(address)
        socket.create_connection((parts.hostname or "", parts.port or 0), timeout=1).close()
    except (OSError, ValueError):
        return ""
    return address
