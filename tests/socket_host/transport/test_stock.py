"""The stock transport bounds what python-socketio leaves unbounded."""

from pathlib import Path

import pytest

from tests.kit.clients import raw_client
from tests.kit.hosts import limited, serving, token, url


async def test_too_many_attachments(tmp_path: Path) -> None:
    """An event that announces attachments without end is dropped at once."""
    async with (
        serving(tmp_path, transport="stock") as host,
        raw_client(url(host), token("Ann")) as ann,
    ):
        await ann.websocket.send_str('4599999-["message",{"_placeholder":true,"num":0}]')
        assert await ann.ask('["busy",true]') == {}


async def test_malformed_packets(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Packets that make no sense neither stop the host nor fill its log."""
    async with (
        serving(tmp_path, transport="stock") as host,
        raw_client(url(host), token("Ann")) as ann,
    ):
        for _ in range(20):
            for packet in ("42", "42{}", "42[", "49", '4299999["busy"', "44"):
                await ann.websocket.send_str(packet)
        assert await ann.ask('["busy",true]') == {}
    assert len([r for r in caplog.records if r.name == "socket_host.transport.stock.server"]) <= 10


async def test_silent_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that never says what it came for is closed; one that does stays."""
    limited(monkeypatch, join_time=0.05)
    async with (
        serving(tmp_path, transport="stock") as host,
        raw_client(url(host), token("Ann")) as ann,
        raw_client(url(host), None) as silent,
    ):
        await silent.closed()
        assert await ann.ask('["busy",true]') == {}
