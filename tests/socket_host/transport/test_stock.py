"""The stock transport bounds what python-socketio leaves unbounded."""

from pathlib import Path

import pytest

from socket_host.namespace import Namespace
from tests.fuzz.network import Connection, Network
from tests.kit.clients import raw_client
from tests.kit.hosts import limited, serving, token, url
from tests.kit.protocol_client import handshake, http_client


async def test_too_many_attachments(tmp_path: Path) -> None:
    """An event with too many attachments is dropped at once."""
    async with (
        serving(tmp_path, transport="stock") as host,
        raw_client(url(host), token("Ann")) as ann,
    ):
        await ann.websocket.send_str('4599999-["message",{"_placeholder":true,"num":0}]')
        assert await ann.ask('["busy",true]') == {}


async def test_malformed_packets(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Malformed packets neither stop the host nor fill its log."""
    async with (
        serving(tmp_path, transport="stock") as host,
        raw_client(url(host), token("Ann")) as ann,
    ):
        for _ in range(20):
            for packet in ("42", "42{}", "42[", "49", '4299999["busy"', "44"):
                await ann.websocket.send_str(packet)
        assert await ann.ask('["busy",true]') == {}
    assert len([r for r in caplog.records if r.name == "socket_host.transport.stock.server"]) <= 10


async def test_session_that_a_packet_ends(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A POST that ends its session is answered at once, and those after it are refused."""
    async with serving(tmp_path, transport="stock") as host, http_client(host.port) as http:
        for packet in ("6", "0", "2"):
            poller = await http.open()
            for _ in range(2):
                assert (await poller.post(packet))[0] == 400
            assert (await poller.get())[0] == 400
        poller = await http.open()
        assert (await poller.post("1"))[0] == 200
        assert (await poller.post("40"))[0] == 400
    assert "Traceback" not in caplog.text


async def test_silent_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that does not join is closed; one that joins stays open."""
    limited(monkeypatch, join_time=0.5)
    async with (
        serving(tmp_path, transport="stock") as host,
        raw_client(url(host), token("Ann")) as ann,
        raw_client(url(host), None) as silent,
    ):
        await silent.closed()
        assert await ann.ask('["busy",true]') == {}


def test_client_gone_before_its_answer() -> None:
    """A client that leaves before its request is answered is neither logged nor counted."""
    with Network(Namespace, transport="stock") as network:
        for leave in (Connection.finish, Connection.cut):
            for request in (handshake(), handshake("EIO=4&transport=polling")):
                connection = network.connect()
                connection.arrive(request)
                leave(connection)
        assert network.log.lines == []
        assert dict(network.host.transport.closed()) == {}


class Unreachable(Namespace):
    """A namespace whose health check fails, because of a connection of its own."""

    def health(self) -> dict[str, int]:
        raise ConnectionRefusedError("no database")


def test_other_lost_connection() -> None:
    """An error of the host's own connections is not taken for a client's disconnect."""
    with Network(Unreachable, transport="stock") as network:
        connection = network.connect()
        connection.send(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.read().startswith(b"HTTP/1.1 500 ")
        (failure,) = network.log.failures
        assert "no database" in failure
