"""The auction's events, on one host."""

import time
from contextlib import closing
from pathlib import Path

import pytest
from socketio.exceptions import ConnectionError as Refused

from functions.model.endings import open_endings
from tests.kit.people import Host, StartHosts

GUS = {"role": "auctioneer"}


async def offered(host: Host, *lots: str) -> None:
    """Have the auctioneer offer lots."""
    gus = await host.connect("Gus", namespace="/desk", claims=GUS)
    for lot in lots:
        assert await gus.call("desk:offer", {"lot": lot}) == {"lot": lot}


async def test_bid(host: Host) -> None:
    """A bid is acked and broadcast; an invalid one gets an error that names the field."""
    await offered(host, "harp")
    ann = await host.connect("Ann", namespace="/auction")
    bob = await host.connect("Bob", namespace="/auction")
    assert await bob.call("look", "harp") == {"ok": True}
    assert await ann.call("auction:bid", {"lot": "harp", "amount": 7}) == {"highest": 7}
    assert await bob.receive("bid") == {"lot": "harp", "amount": 7, "name": "Ann"}
    for amount, field in ((7, "amount"), ("8", "amount"), (0, "bid"), (10**9, "bid")):
        answer = await bob.call("auction:bid", {"lot": "harp", "amount": amount})
        assert (answer["field"], "error" in answer) == (field, True)
    assert (await ann.receive("sold"))["to"] == "ann"
    assert "sold" in (await bob.call("auction:bid", {"lot": "harp", "amount": 9}))["error"]


async def test_too_fast(host: Host) -> None:
    """A visitor who exceeds the rate limit gets an error, and others do not."""
    gus = await host.connect("Gus", namespace="/desk", claims=GUS)
    ivy = await host.connect("Ivy", namespace="/desk", claims=GUS)
    answers = [await gus.call("desk:offer", {"lot": f"spoon-{n}"}) for n in range(15)]
    assert answers[0] == {"lot": "spoon-0"}
    assert answers[-1]["retry"]
    assert await ivy.call("desk:offer", {"lot": "fork"}) == {"lot": "fork"}


async def test_claims(host: Host) -> None:
    """Only the auctioneer may use the desk, a room and an event."""
    gus = await host.connect("Gus", namespace="/auction", claims=GUS)
    ann = await host.connect("Ann", namespace="/auction")
    with pytest.raises(Refused):
        await host.connect("Ann", namespace="/desk")
    with pytest.raises(Refused):
        await host.connect("Mallory", namespace="/auction")
    assert "may not" in (await ann.call("look", "secret-1"))["error"]
    assert await gus.call("look", "secret-1") == {"ok": True}
    assert "may not" in (await ann.call("auction:ban", "gus"))["error"]
    await gus.call("auction:ban", "ann")
    await ann.receive("disconnect")


async def test_desk(host: Host) -> None:
    """Offers are validated by their model, and the desk gets its secret."""
    gus = await host.connect("Gus", namespace="/desk", claims=GUS)
    ann = await host.connect("Ann", namespace="/auction")
    assert (await gus.call("desk:offer", {"lot": "A harp!"}))["field"] == "lot"
    await gus.call("desk:offer", {"lot": "harp", "reserve": 3})
    assert await ann.receive("offered") == "harp"
    assert await gus.call("camera") == 6


async def test_task_fails(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    """The task that stores bids restarts after a failure."""
    await offered(host, "poison", "harp")
    ann = await host.connect("Ann", namespace="/auction")
    await ann.call("auction:bid", {"lot": "poison", "amount": 1})
    await ann.call("auction:bid", {"lot": "harp", "amount": 1})
    while await ann.call("auction:written") != ["harp 1"]:
        await ann.receive("tick")
    assert "write_down" in caplog.text


async def test_recovery(host: Host) -> None:
    """A client that reconnects gets the bids it missed in its rooms."""
    await offered(host, "harp")
    ann = await host.connect("Ann", namespace="/auction")
    bob = await host.connect_javascript("Bob", namespace="/auction")
    await bob.call("look", "harp")
    await bob.drop()
    await ann.call("auction:bid", {"lot": "harp", "amount": 7})
    assert await bob.back()
    assert (await bob.receive("bid"))["amount"] == 7


async def test_two_hosts(hosts: StartHosts, tmp_path: Path) -> None:
    """People on two hosts bid against each other and see each other; ended sessions are refused."""
    one, two = await hosts(2)
    await offered(one, "harp")
    ann = await one.connect("Ann", namespace="/auction")
    bob = await two.connect("Bob", namespace="/auction")
    eve = [await each.connect(f"Eve {each.url}", namespace="/hall") for each in (one, two)]
    for each in eve:
        await each.call("enter", "garden")
    while (await eve[0].receive("who"))["count"] < 2:
        pass
    await bob.call("look", "harp")
    await ann.call("auction:bid", {"lot": "harp", "amount": 7})
    assert (await bob.receive("bid"))["name"] == "Ann"
    with closing(open_endings(f"sqlite:{tmp_path}/endings.sqlite3")) as endings:
        endings.put("zoe", ended := time.time())
    for host in (one, two):
        assert await is_refused(host, "Zoe", {"auth_time": ended - 1})
        await host.connect("Zoe", namespace="/auction", claims={"auth_time": ended})


async def is_refused(host: Host, name: str, claims: dict[str, float]) -> bool:
    """Return whether a host refuses a session after it has reloaded the ended ones."""
    for _ in range(20):
        try:
            client = await host.connect(name, namespace="/auction", claims=claims)
        except Refused:
            return True
        await client.receive("tick")
    return False


async def sold_by_either(one: Host, two: Host) -> None:
    """Have one host sell a lot, kill it, and have the other one sell another, each once."""
    await offered(one, "harp", "lute")
    ann = await one.connect("Ann", namespace="/auction")
    bob = await two.connect("Bob", namespace="/auction")
    await ann.call("auction:bid", {"lot": "harp", "amount": 7})
    sold = await bob.receive("sold")
    assert (sold["lot"], await ann.receive("sold")) == ("harp", sold)
    assert await ann.call("sales") + await bob.call("sales") == 1
    if await ann.call("sales"):
        await one.kill()
        left = bob
    else:
        await two.kill()
        left = ann
    assert await left.call("auction:bid", {"lot": "lute", "amount": 7}) == {"highest": 7}
    later = await left.receive("sold")
    assert later["lot"] == "lute"
    assert later["number"] > sold["number"]
    assert await left.call("sales") == 1


async def test_paused_host(hosts: StartHosts) -> None:
    """While the selling host is paused, the other one sells; the first sells nothing after."""
    one, two = await hosts(2)
    await offered(one, "harp", "lute", "drum")
    ann = await one.connect("Ann", namespace="/auction")
    bob = await two.connect("Bob", namespace="/auction")
    await ann.call("auction:bid", {"lot": "harp", "amount": 7})
    harp = await bob.receive("sold")
    host, paused, awake = (one, ann, bob) if await ann.call("sales") else (two, bob, ann)
    await ann.receive("sold")
    host.pause()
    await awake.call("auction:bid", {"lot": "lute", "amount": 7})
    lute = await awake.receive("sold")
    host.resume()
    assert await paused.receive("sold") == lute
    await paused.call("auction:bid", {"lot": "drum", "amount": 7})
    drum = await awake.receive("sold")
    assert harp["number"] < lute["number"] == drum["number"]
    assert (await paused.call("sales"), await awake.call("sales")) == (1, 2)
