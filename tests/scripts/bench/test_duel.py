"""Two servers side by side."""

from pathlib import Path

import pytest

from scripts.commands.bench.duel import DUELS, Duel
from scripts.commands.bench.load import Conditions
from scripts.commands.bench.plan import FULL
from scripts.commands.bench.servers import SERVERS
from scripts.commands.bench.visits import visits
from tests.scripts.bench.tiny_plan import TINY


@pytest.mark.parametrize(("server", "other"), [("fallback", "fast"), ("fast", "fallback")])
def test_two_servers_are_measured_side_by_side(server: str, other: str, folder: Path) -> None:
    """The figure is above 1 for the more expensive server: far above, with TRANSPORT=stock."""
    duel = Duel("broadcast-5", server, other, target=1)
    ratio = duel.ratio(TINY, folder, Conditions(spin=False, silence=5))
    assert (ratio > 1) == (server == "fallback")


@pytest.mark.parametrize("duel", DUELS)
def test_every_duel_is_of_a_measure(duel: Duel) -> None:
    """A duel's measure is in the full run, and both servers support it."""
    for name in (duel.server, duel.other):
        assert not duel.measure.startswith(SERVERS[name].cannot)
    assert duel.measure in {name for visit in visits(FULL) for name, _ in visit.steps}
