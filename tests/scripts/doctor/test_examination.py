"""An examination: every check ends, and checks that depend on a failed one are skipped."""

import asyncio

import pytest

from scripts.commands.doctor import examination
from scripts.commands.doctor.checks import CHECKS
from scripts.commands.doctor.examination import Check, examine
from scripts.commands.doctor.finding import FAILED, OK, SKIPPED, Failure
from scripts.commands.doctor.site import Address, Site


async def seen(site: Site) -> str:
    """All is well."""
    return "Seen."


async def refused(site: Site) -> str:
    """All is not well."""
    raise Failure("Seen.", why="So.", do="That.")


async def hanging(site: Site) -> str:
    """It never ends."""
    await asyncio.Event().wait()
    return ""


async def stumbling(site: Site) -> str:
    """It meets what nobody thought of."""
    raise KeyError("sid")


async def outcomes(*checks: Check, left_out: tuple[str, ...] = ()) -> list[str]:
    """The outcomes of checks that send no requests."""
    async with Site(Address.parse("http://a.test"), patience=0) as visited:
        return [finding.outcome for finding in await examine(visited, checks, left_out)]


async def test_each_check_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that hangs or raises has failed, and the others continue."""
    monkeypatch.setattr(examination, "GRACE", 0.05)
    checks = [Check("", f.__name__, f) for f in (hanging, stumbling, seen)]
    assert await outcomes(*checks) == [FAILED, FAILED, OK]


async def test_needs() -> None:
    """A check that depends on a failed one is skipped; one that depends on a skipped one is not."""
    checks = (Check("", "a", refused), Check("", "b", seen, ("a",)), Check("", "c", seen, ("b",)))
    assert await outcomes(*checks) == [FAILED, SKIPPED, OK]
    assert await outcomes(*checks, left_out=("a",)) == [SKIPPED, OK, OK]


def test_checks() -> None:
    """Each check has a unique name and a promise, and depends only on earlier checks."""
    earlier: set[str] = set()
    for check in CHECKS:
        assert check.name not in earlier
        assert check.promise.endswith((".", ")."))
        assert set(check.needs) <= earlier
        earlier.add(check.name)
