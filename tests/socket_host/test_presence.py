"""Presence tracks who is where, forgets who has left, and does not announce too often."""

import asyncio
from typing import Any

import pytest

from functions.contract.session import Session
from socket_host import presence
from socket_host.bus import Bus
from socket_host.presence import MAX_NAMES, Presence
from tests.kit.hosts import PATIENCE

ANN, BOB = Session("ann", "Ann"), Session("bob", "Bob")


@pytest.fixture(autouse=True)
def _short_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "PAUSE", 0.05)


class Announcements:
    """Records announcements with the room's count at that time."""

    def __init__(self) -> None:
        self.presence = Presence(self.take, Bus())
        self.counts: asyncio.Queue[int] = asyncio.Queue()

    def take(self, room: str) -> None:
        self.counts.put_nowait(self.presence.who(room)["count"])

    async def pauses_end(self) -> None:
        """Wait until the next change would be announced at once."""
        async with asyncio.timeout(PATIENCE):
            while self.presence._pauses:  # noqa: ASYNC110 - nothing signals the end of a pause
                await asyncio.sleep(0.01)

    async def next(self) -> int:
        async with asyncio.timeout(PATIENCE):
            return await self.counts.get()


async def test_session_with_two_tabs_counts_once() -> None:
    """A visitor is present from the first tab to the last."""
    here = Announcements().presence
    for sid in ("1", "2"):
        here.enter(sid, "den", ANN)
    assert here.who("den") == {"count": 1, "names": ["Ann"]}
    here.leave("1")
    assert here.who("den") == {"count": 1, "names": ["Ann"]}
    here.leave("2")
    assert here.who("den") == {"count": 0, "names": []}


@pytest.mark.parametrize("room", [7, None, ("den",), "x" * 1_025])
async def test_room_that_other_hosts_refuse(room: Any) -> None:
    """A name that other hosts would refuse, and all rooms with it, cannot be entered."""
    here = Announcements().presence
    with pytest.raises(ValueError, match="cannot be announced"):
        here.enter("1", room, ANN)
    assert here.rooms() == []


async def test_client_is_in_several_rooms() -> None:
    """A client is in each room it has entered, until it leaves that one, or all of them."""
    here = Announcements().presence
    for room in ("den", "hall", "attic"):
        here.enter("1", room, ANN)
    assert here.rooms("1") == ["den", "hall", "attic"]
    here.leave("1", "hall")
    here.leave("1", "cellar")
    assert here.rooms("1") == ["den", "attic"]
    assert (here.count("den"), here.count("hall"), here.count("attic")) == (1, 0, 1)
    here.leave("1")
    assert (here.rooms("1"), here.rooms()) == ([], [])


async def test_person_is_identified_by_id() -> None:
    """A visitor with different names in two tabs is one person."""
    here = Announcements().presence
    here.enter("1", "den", ANN)
    here.enter("2", "den", Session("ann", "Annabel"))
    assert here.who("den") == {"count": 1, "names": ["Ann"]}
    here.leave("1")
    assert here.count("den") == 1
    here.leave("2")
    assert here.count("den") == 0
    assert here._present == {}


async def test_names_are_bounded() -> None:
    """All people are counted, but only some named."""
    here = Announcements().presence
    for number in range(MAX_NAMES + 10):
        here.enter(str(number), "den", Session(str(number), f"N{number}"))
    who = here.who("den")
    assert who["count"] == MAX_NAMES + 10
    assert who["names"] == [f"N{number}" for number in range(MAX_NAMES)]


async def test_announced_at_once_then_together() -> None:
    """The first change is announced at once, later ones together, and the last one always."""
    announced = Announcements()
    for number in range(10):
        announced.presence.enter(str(number), "den", Session(str(number), "N"))
    assert await announced.next() == 1
    assert await announced.next() == 10
    for number in range(9):
        announced.presence.leave(str(number))
    assert await announced.next() == 1
    assert announced.counts.empty()


async def test_second_tab_is_not_announced() -> None:
    """A change that makes no difference is not announced."""
    announced = Announcements()
    announced.presence.enter("1", "den", ANN)
    assert await announced.next() == 1
    await announced.pauses_end()
    announced.presence.enter("2", "den", ANN)
    announced.presence.enter("2", "den", ANN)
    announced.presence.leave("1")
    announced.presence.leave("nobody")
    announced.presence.enter("3", "den", BOB)
    assert await announced.next() == 2
    assert announced.counts.empty()


async def test_people_who_left_are_forgotten() -> None:
    """Former rooms and clients leave no memory behind."""
    announced = Announcements()
    here = announced.presence
    for number in range(1_000):
        here.enter("1", f"room-{number}", ANN)
    here.leave("1")
    await announced.pauses_end()
    assert [here._places, here._tabs, here._present, here._changed] == [{}, {}, {}, set()]
    assert here._presence_sync._news == {}


async def test_crowd_gets_fewer_announcements(monkeypatch: pytest.MonkeyPatch) -> None:
    """The more recipients, the longer the pause between announcements."""
    monkeypatch.setattr(presence, "RECIPIENTS_PER_SECOND", 20)
    announced = Announcements()
    for number in range(6):
        announced.presence.enter(str(number), "den", Session(str(number), "N"))
    assert await announced.next() == 1
    assert await announced.next() == 6
    announced.presence.leave("0")
    (pause,) = announced.presence._pauses.values()
    assert 0.2 < pause.when() - asyncio.get_running_loop().time() <= 0.3
    assert await announced.next() == 5
