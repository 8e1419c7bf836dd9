"""Doctor's findings at a site, in this process."""

from typing import Any

from scripts.commands.doctor.checks import CHECKS
from scripts.commands.doctor.examination import examine
from scripts.commands.doctor.finding import FAILED, Finding
from scripts.commands.doctor.reach import reach
from scripts.commands.doctor.site import Address, Broadcast, Site
from tests.scripts.dev.edges import PATIENCE


class Findings:
    """The findings of an examination."""

    def __init__(self, findings: list[Finding]) -> None:
        self._findings = {finding.check: finding for finding in findings}

    def with_outcome(self, outcome: str) -> set[str]:
        return {name for name, f in self._findings.items() if f.outcome == outcome}

    @property
    def failed(self) -> set[str]:
        return self.with_outcome(FAILED)

    def words(self, check: str) -> str:
        finding = self._findings[check]
        return f"{finding.seen} {finding.why} {finding.do}"


async def examined(
    address: str | Address,
    *parts: str,
    tls: Any = True,
    patience: float = PATIENCE,
    broadcast: Broadcast | None = None,
    **visit: str,
) -> Findings:
    """Run all checks on a site, or some; `visit` has the page and the session."""
    address = Address.parse(address) if isinstance(address, str) else address
    async with Site(address, tls=tls, patience=patience, broadcast=broadcast, **visit) as visited:
        await reach(visited)
        checks = [check for check in CHECKS if not parts or check.part in parts]
        return Findings(await examine(visited, checks))
