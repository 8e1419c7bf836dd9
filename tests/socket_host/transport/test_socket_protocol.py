"""Socket.IO, version 5: every requirement of the specification on servers."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from tests.kit.protocol_client import Http, http_client
from tests.kit.protocol_server import protocol_server

ONE = '{"_placeholder":true,"num":0}'
TWO = '{"_placeholder":true,"num":1}'


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    """A client of a host."""
    async with protocol_server() as host, http_client(host.port) as http:
        yield http


# Connect and disconnect


@pytest.mark.parametrize(
    ("connect", "prefix", "auth"),
    [
        ("40", "40", '42["auth",{}]'),
        ('40{"token":"123"}', "40", '42["auth",{"token":"123"}]'),
        ("40/custom,", "40/custom,", '42/custom,["auth",{}]'),
        ("40/custom", "40/custom,", '42/custom,["auth",{}]'),
        ('40/custom,{"token":"abc"}', "40/custom,", '42/custom,["auth",{"token":"abc"}]'),
    ],
)
async def test_connect(http: Http, connect: str, prefix: str, auth: str) -> None:
    """A namespace is joined with its own sid, and its events arrive after the answer."""
    async with http.websocket() as socket:
        opened = json.loads((await socket.receive())[1:])
        await socket.send(connect)
        answer = await socket.receive()
        assert answer.startswith(prefix)
        fields = json.loads(answer.removeprefix(prefix))
        assert fields.keys() == {"sid"}
        assert fields["sid"] != opened["sid"]
        assert await socket.receive() == auth


async def test_unknown_namespace(http: Http) -> None:
    """A namespace that does not exist is refused in the specification's words."""
    async with http.websocket() as socket:
        await socket.receive()
        await socket.send("40/random")
        assert await socket.receive() == '44/random,{"message":"Invalid namespace"}'
        await socket.send("40")
        assert (await socket.receive()).startswith("40{")


async def test_connecting_twice_closes(http: Http) -> None:
    """A client that joins a namespace twice is closed."""
    async with http.joined() as socket:
        await socket.send("40")
        assert await socket.closed() == 1008


async def test_disconnect_leaves_the_session_open(http: Http) -> None:
    """A client may leave a namespace and stay in another."""
    async with http.joined() as socket:
        await socket.send("40/custom")
        await socket.receive()
        await socket.receive()  # `auth`
        await socket.send("41/custom", '42["message","message to main namespace"]')
        assert await socket.receive() == '42["message-back","message to main namespace"]'
        await socket.send('42/custom,["message","to one I have left"]', '421["echo",1]')
        assert await socket.receive() == "431[1]"


async def test_left_namespace_can_be_joined_again(http: Http) -> None:
    """A namespace can be joined again after leaving it."""
    async with http.joined() as socket:
        await socket.send("41", "40")
        assert (await socket.receive()).startswith("40{")


async def test_namespaces_are_apart(http: Http) -> None:
    """An ack goes to the namespace its event came from."""
    async with http.joined() as socket:
        await socket.send("40/custom")
        await socket.receive()
        await socket.receive()  # `auth`
        await socket.send('42/custom,7["echo","there"]', '427["echo","here"]')
        assert await socket.receive() == '43/custom,7["there"]'
        assert await socket.receive() == '437["here"]'


async def test_query_of_a_namespace_is_not_its_name(http: Http) -> None:
    """Clients may append a query to a namespace."""
    async with http.websocket() as socket:
        await socket.receive()
        await socket.send("40/custom?token=abc,")
        assert (await socket.receive()).startswith("40/custom,")


# Events and acks


async def test_event_with_arguments(http: Http) -> None:
    """Arguments are echoed unchanged."""
    async with http.joined() as socket:
        await socket.send('42["message",1,"2",{"3":[true]}]')
        assert await socket.receive() == '42["message-back",1,"2",{"3":[true]}]'


async def test_event_with_ack(http: Http) -> None:
    """An event with an id is acked with that id."""
    async with http.joined() as socket:
        await socket.send('42456["message-with-ack",1,"2",{"3":[false]}]')
        assert await socket.receive() == '43456[1,"2",{"3":[false]}]'


async def test_nan_becomes_null(http: Http) -> None:
    """A number that JSON lacks, but Python accepts, becomes null, as in JavaScript."""
    async with http.joined() as socket:
        await socket.send('421["echo",[NaN,-Infinity,1]]')
        assert await socket.receive() == "431[[null,null,1]]"


async def test_ack_id_zero(http: Http) -> None:
    """Zero is a valid id: clients begin with it."""
    async with http.joined() as socket:
        await socket.send('420["message-with-ack"]')
        assert await socket.receive() == "430[]"


async def test_binary_event(http: Http) -> None:
    """Attachments are echoed in their places."""
    async with http.joined() as socket:
        await socket.send(f'452-["message",{ONE},{TWO}]', b"\1\2\3", b"\4\5\6")
        assert await socket.receive() == f'452-["message-back",{ONE},{TWO}]'
        assert await socket.receive() == b"\1\2\3"
        assert await socket.receive() == b"\4\5\6"


async def test_binary_event_with_ack(http: Http) -> None:
    """Acks may have attachments too."""
    async with http.joined() as socket:
        await socket.send(f'452-789["message-with-ack",{ONE},{TWO}]', b"\1\2\3", b"\4\5\6")
        assert await socket.receive() == f"462-789[{ONE},{TWO}]"
        assert await socket.receive() == b"\1\2\3"
        assert await socket.receive() == b"\4\5\6"


async def test_unknown_ack_is_ignored(http: Http) -> None:
    """An unexpected ack is ignored."""
    async with http.joined() as socket:
        await socket.send("43999[1]", "430[1]", f"461-5[{ONE}]", b"x", '421["echo",1]')
        assert await socket.receive() == "431[1]"


async def test_broadcast_reaches_everyone_else(http: Http) -> None:
    """Everyone but the sender gets it, whatever their transport."""
    poller = await http.open()
    await poller.join()
    async with http.joined() as sender, http.joined() as other:
        await sender.send('421["draft","a"]')
        assert await sender.receive() == "431[]"
        assert await other.receive() == '42["drafted","a"]'
        assert await poller.get() == (200, '42["drafted","a"]')


# Invalid packets


@pytest.mark.parametrize(
    "packet",
    [
        pytest.param("4", id="empty"),
        pytest.param("4abc", id="unknown type"),
        pytest.param("47", id="type out of range"),
        pytest.param("44", id="connect error, which only servers send"),
        pytest.param("42", id="event without payload"),
        pytest.param("42{}", id="event whose payload is not a list"),
        pytest.param("42[]", id="event without name"),
        pytest.param('42["message",', id="broken JSON"),
        pytest.param("42" + "[" * 50_000, id="deep JSON"),
        pytest.param('42abc["message"]', id="ack id that is not a number"),
        pytest.param("42" + "1" * 50 + '["message"]', id="endless ack id"),
        pytest.param('421-["message"]', id="attachments of a plain event"),
        pytest.param("43[1]", id="ack without id"),
        pytest.param("431{}", id="ack whose payload is not a list"),
        pytest.param('41{"a":1}', id="disconnect with payload"),
        pytest.param(f'45["message",{ONE}]', id="binary event without count"),
        pytest.param(f'4599-["message",{ONE}]', id="too many attachments"),
        pytest.param(f'459999999999-["message",{ONE}]', id="far too many attachments"),
        pytest.param(b"unannounced", id="unexpected attachment"),
    ],
)
async def test_invalid_packet_closes(http: Http, packet: str | bytes) -> None:
    """An invalid packet ends the session."""
    async with http.joined() as socket:
        await socket.send(packet)
        assert await socket.closed() == 1008


@pytest.mark.parametrize(
    "packets",
    [
        pytest.param([f'451-["message",{ONE}]', '42["message"]'], id="text instead of attachment"),
        pytest.param([f'451-["message",{TWO}]', b"x"], id="placeholder of no attachment"),
        pytest.param(
            ['451-["message",{"_placeholder":true,"num":-1}]', b"x"], id="negative placeholder"
        ),
        pytest.param(
            ['451-["message",{"_placeholder":true,"num":"0"}]', b"x"], id="placeholder of text"
        ),
        pytest.param(['451-["message",{"_placeholder":true}]', b"x"], id="placeholder of nothing"),
    ],
)
async def test_broken_attachments_close(http: Http, packets: list[str | bytes]) -> None:
    """Attachments that do not fit their packet end the session."""
    async with http.joined() as socket:
        await socket.send(*packets)
        assert await socket.closed() == 1008


async def test_order_of_one_client_is_kept(http: Http) -> None:
    """Events are answered in the order they were sent, hundreds at once."""
    async with http.joined() as socket:
        await socket.send(*(f'42{n}["echo",{n}]' for n in range(500)))
        for number in range(500):
            assert await socket.receive() == f"43{number}[{number}]"


async def test_events_may_follow_connect_at_once(http: Http) -> None:
    """Packets sent before the answer to CONNECT wait for it."""
    async with http.websocket() as socket:
        await socket.receive()
        await socket.send("40", '421["echo",1]', "40/custom", '42/custom,2["echo",2]')
        received = [await socket.receive() for _ in range(6)]
        assert "431[1]" in received
        assert "43/custom,2[2]" in received
        assert received[0].startswith("40{")


async def test_time_to_join_another_namespace(http: Http) -> None:
    """A client that leaves its last namespace is not closed before it can join another."""
    async with http.joined() as socket:
        await socket.send("41")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await socket.receive()
