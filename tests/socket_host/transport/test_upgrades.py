"""Upgrades from polling to websocket: complete, refused, or abandoned."""

import asyncio

import pytest

from tests.kit.protocol_client import SEPARATOR, Http


async def test_upgrade(http: Http) -> None:
    """After probe, noop for the waiting GET, and upgrade, the websocket carries the session."""
    poller = await http.open()
    await poller.join()
    get = asyncio.create_task(poller.get())
    async with http.websocket(sid=poller.sid) as socket:
        await socket.send("2probe")
        assert await socket.receive() == "3probe"
        assert await get == (200, "6")
        assert await poller.get() == (200, "6")
        await socket.send("5", '421["echo",1]')
        assert await socket.receive() == "431[1]"


async def test_nothing_is_lost_or_doubled_by_an_upgrade(http: Http) -> None:
    """Packets sent before, during and after an upgrade arrive once each, in order."""
    poller = await http.open()
    await poller.join()
    received: list[str] = []

    async with http.joined() as speaker, http.websocket(sid=poller.sid) as socket:

        async def speak(first: int, last: int) -> None:
            for number in range(first, last):
                await speaker.send(f'42{number}["draft",{number}]')
            while await speaker.receive() != f"43{last - 1}[]":
                pass

        await speak(0, 50)
        await socket.send("2probe")
        assert await socket.receive() == "3probe"
        received += (await poller.get())[1].split(SEPARATOR)
        await speak(50, 100)
        await socket.send("5")
        await speak(100, 150)
        while len(received) < 150:
            received.append(await socket.receive())
    assert received == [f'42["drafted",{number}]' for number in range(150)]


async def test_polling_is_over_after_the_upgrade(http: Http) -> None:
    """After an upgrade, polling requests are refused, and the session continues."""
    poller = await http.open()
    await poller.join()
    async with http.websocket(sid=poller.sid) as socket:
        await socket.send("2probe", "5", '421["echo",1]')
        assert await socket.receive() == "3probe"
        assert await socket.receive() == "431[1]"
        assert (await poller.get())[0] == 400
        assert (await poller.post("40"))[0] == 400
        await socket.send('422["echo",2]')
        assert await socket.receive() == "432[2]"


async def test_second_websocket_is_closed(http: Http) -> None:
    """A second websocket for an upgraded session is closed; the first stays open."""
    poller = await http.open()
    await poller.join()
    async with http.websocket(sid=poller.sid) as socket:
        await socket.send("2probe", "5")
        assert await socket.receive() == "3probe"
        async with http.websocket(sid=poller.sid) as second:
            assert await second.closed() == 1000
        await socket.send('421["echo",1]')
        assert await socket.receive() == "431[1]"


@pytest.mark.parametrize("packets", [["2"], ["4x"], ["2probe", "4x"], ["2probe", "2"]])
async def test_failed_probe_leaves_polling_alone(http: Http, packets: list[str]) -> None:
    """A websocket that does not follow the upgrade's steps is closed; polling continues."""
    poller = await http.open()
    async with http.websocket(sid=poller.sid) as socket:
        await socket.send(*packets)
        assert await socket.closed() == 1008
    await poller.join()


async def test_abandoned_probe_leaves_polling_alone(http: Http) -> None:
    """An abandoned probe may be tried again."""
    poller = await http.open()
    async with http.websocket(sid=poller.sid) as socket:
        await socket.send("2probe")
        assert await socket.receive() == "3probe"
    await poller.join()
    async with http.websocket(sid=poller.sid) as socket:
        await socket.send("2probe", "5", '421["echo",1]')
        assert await socket.receive() == "3probe"
        assert await socket.receive() == "431[1]"


async def test_session_that_ends_ends_its_probe(http: Http) -> None:
    """A websocket that was to replace polling closes with the session."""
    poller = await http.open()
    async with http.websocket(sid=poller.sid) as socket:
        await socket.send("2probe")
        assert await socket.receive() == "3probe"
        await poller.post("1")
        assert await socket.closed() == 1000


async def test_websocket_on_a_connection_that_has_polled(http: Http) -> None:
    """A websocket may use a connection that carried other requests, as with load balancers."""
    poller = await http.open()  # the client keeps this connection for its next request
    async with http.websocket(sid=poller.sid) as socket:
        await socket.send("2probe", "5", "40")
        assert await socket.receive() == "3probe"
        assert (await socket.receive()).startswith("40")
