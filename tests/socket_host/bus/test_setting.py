"""The setting BUS."""

import pytest

from socket_host.bus import open_bus
from tests.kit import buses


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("", "must be local, sns:"),
        ("nats://host", "must be local, sns:"),
        ("sns:", "must be written sns:arn:"),
        ("sns:arn:aws:sns:eu-west-1:123456789012:standard", "FIFO"),
        ("sns:arn:aws:sqs:eu-west-1:123456789012:queue.fifo", "must be written sns:arn:"),
        ("redis:", "must be written redis:"),
        ("redis://", "must be written redis:"),
        ("redis://host:port", "must be written redis:"),
        ("valkey://host/name", "must be written redis:"),
    ],
)
def test_malformed_setting_is_refused(setting: str, words: str) -> None:
    """A malformed setting is refused with the correct form."""
    with pytest.raises(ValueError, match=words):
        open_bus(setting)


@pytest.mark.parametrize(
    "setting",
    ["redis://h", "valkey://h:1/0", "rediss://u:p%40@h", "valkeys://:p@h:6380", "redis://[::1]:1"],
)
def test_redis_settings(setting: str) -> None:
    """Redis and Valkey have the same settings, optionally with a password and TLS."""
    assert open_bus(setting).is_shared


def test_password_is_not_shown() -> None:
    """A malformed setting is not quoted if it may contain a password."""
    with pytest.raises(ValueError, match="redis://") as refusal:
        open_bus("redis://:secret@host:port")
    assert "secret" not in str(refusal.value)


async def test_local_bus_is_the_host_alone() -> None:
    """A host without a bus reaches its own clients, and is never degraded."""
    async with buses.host("local") as host:
        client = await host.client()
        await host.sio.emit("news", "here", room="plaza")
        assert await client.receive("news") == "here"
        assert host.bus.health() == {"status": "ok"}
