"""Nothing is lost: whatever happens, every page has every message once and in order.

Hosts are processes on one bus behind the edge and the load balancer's stand-in; pages are official
clients, by polling and by websocket, and write all the time.
"""

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from tests.chaos.crowd import ROOM
from tests.chaos.ordeal import Ordeal, check
from tests.chaos.storms import STORMS
from tests.kit.hosts import environ, own_texts
from tests.small_app.model.posts import Posts

pytestmark = pytest.mark.chaos

# ms between two messages of a page, if not the usual: moto is slow.
PACE = {"sns": 300}

SHORT = [("kill", 2), ("roll", 3), ("redis", 2), ("disturb", 2)]
LONG = [(storm, hosts) for storm in STORMS for hosts in (2, 3) if (storm, hosts) not in SHORT]
CASES = [*SHORT, *(pytest.param(*case, marks=pytest.mark.long) for case in LONG)]


@pytest.mark.parametrize(("storm", "hosts"), CASES)
async def test_nothing_is_lost(
    storm: str,
    hosts: int,
    rounds: int,
    seed: int,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    """After a storm every page shows every message that was acked, each once and in order."""
    bus = "sns" if storm == "sns" else "redis"
    ordeal = Ordeal(environ, STORMS[storm], bus=bus, hosts=hosts, pace=PACE.get(storm, 150))
    reports, counts = await ordeal.run(tmp_path, Random(seed), rounds)
    record_property("counts", f"{counts}, seed {seed}")
    posts = Posts(own_texts(tmp_path)["POSTS"])
    check(reports, posts.after(ROOM, 0, 1_000_000))
    posts.close()
