"""An examination: concurrent checks with deadlines, skipping those whose needs have failed."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass

from aiohttp import ClientError

from scripts.commands.doctor.finding import FAILED, OK, SKIPPED, Failure, Finding, Skip
from scripts.commands.doctor.site import Site

GRACE = 1.0  # seconds for a check, in addition to the timeout for one response

# A new AWS account may run ten functions at once, and other visitors need some of them.
AT_ONCE = 6


@dataclass(frozen=True)
class Check:
    """One property of a healthy site; its promise is the docstring of the checking function.

    `needs` names earlier checks; if one of them fails, this one is skipped.
    """

    part: str
    name: str
    examine: Callable[[Site], Awaitable[str]]
    needs: tuple[str, ...] = ()

    @property
    def promise(self) -> str:
        """What is true if the check is ok."""
        return " ".join((inspect.getdoc(self.examine) or "").split())


async def examine(
    site: Site, checks: Sequence[Check], left_out: Collection[str] = ()
) -> list[Finding]:
    """Return the checks' findings, in order; checks in `left_out` are skipped."""
    turns = asyncio.Semaphore(AT_ONCE)
    tasks: dict[str, asyncio.Task[Finding]] = {}

    async def find(check: Check) -> Finding:
        if check.name in left_out:
            return _finding(check, SKIPPED, "Skipped by --skip.")
        for name in check.needs:
            if name in tasks and (await tasks[name]).outcome == FAILED:
                return _finding(check, SKIPPED, f"It depends on {name}, which failed.")
        async with turns:
            return await _run(check, site)

    async with asyncio.TaskGroup() as group:
        for check in checks:
            tasks[check.name] = group.create_task(find(check))
    return [task.result() for task in tasks.values()]


async def _run(check: Check, site: Site) -> Finding:
    try:
        async with asyncio.timeout(site.patience + GRACE):
            return _finding(check, OK, await check.examine(site))
    except Skip as skip:
        return _finding(check, SKIPPED, str(skip))
    except Exception as error:  # whatever a broken site causes, the other checks go on
        failure = error if isinstance(error, Failure) else _broken_off(error, site)
        return _finding(check, FAILED, failure.seen, failure.why, failure.do)


def _finding(check: Check, outcome: str, *sentences: str) -> Finding:
    # They quote the site, which could control the terminal with escape sequences.
    printable = ("".join(c if c.isprintable() else " " for c in text) for text in sentences)
    return Finding(check.part, check.name, outcome, *printable)


def _broken_off(error: Exception, site: Site) -> Failure:
    do = "Run this again. If it persists, see the log of the half that serves this path."
    if isinstance(error, TimeoutError):
        return Failure(
            f"It took longer than {site.patience:g} s.",
            why="Visitors wait as long, and then see an error.",
            do=do,
        )
    if isinstance(error, ClientError | OSError):
        return Failure(
            f"The connection broke: {error or type(error).__name__}.",
            why="A visitor's browser would fail here too.",
            do=do,
        )
    return Failure(
        f"This check cannot process the site's response: {type(error).__name__}: {error}.",
        why="The rest of this check was not done.",
        do="If the site works, the check is wrong: see scripts/commands/doctor.",
    )
