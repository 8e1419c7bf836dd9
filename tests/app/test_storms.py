"""The room's own scripts show every message in spite of failures."""

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from functions.model.room_log import Message
from functions.model.room_logs import open_room_log
from tests.app.dynamodb import dynamodb
from tests.app.room import PAGE
from tests.chaos.crowd import ROOM
from tests.chaos.ordeal import Ordeal, check
from tests.chaos.storms import Weather, kill
from tests.kit import yours

pytestmark = pytest.mark.chaos

REFUSALS = 6  # calls that DynamoDB refuses at each level

# ms between two messages of a page. moto is slow: if hosts wrote to one room faster than it stores
# messages, all appends would fail.
PACE = 1_200


async def test_killed_host_loses_nothing(seed: int, tmp_path: Path) -> None:
    """A host is killed with SIGKILL while pages write to a room."""
    ordeal = Ordeal(yours.environ, kill, "socket_host", PAGE)
    reports, _ = await ordeal.run(tmp_path, Random(seed), 1)
    check(reports, stored(yours.environ(tmp_path)["ROOM_LOG"]))


async def test_throttled_table_loses_nothing(
    seed: int, rounds: int, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """DynamoDB refuses calls, cancels them, or does not answer, while pages reconnect."""
    with dynamodb(Random(seed)) as table:

        async def throttle(weather: Weather) -> None:
            for trouble in (0.5, 1.0, 0.5):
                table.trouble, before = trouble, table.refused
                for wire in weather.chance.sample(weather.wires, len(weather.wires) // 2):
                    wire.heal(forget=True)
                enough = before + REFUSALS
                await weather.site.until(lambda: table.refused >= enough)  # noqa: B023 - awaited here
            table.trouble = 0

        ordeal = Ordeal(yours.environ, throttle, "socket_host", PAGE, pace=PACE)
        reports, counts = await ordeal.run(tmp_path, Random(seed), rounds, ROOM_LOG=table.setting)
        record_property("counts", f"{counts}, {table.refused} calls refused, seed {seed}")
        check(reports, stored(table.setting))


def stored(setting: str) -> list[Message]:
    """All messages of the storm's room."""
    log = open_room_log(setting)
    messages: list[Message] = []
    while batch := log.after(ROOM, messages[-1].seq if messages else 0):
        messages += batch
    log.close()
    return messages
