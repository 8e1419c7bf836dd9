"""The setting BUS: which bus the host is on."""

from typing import Any

import socketio  # type: ignore[import-untyped]  # python-socketio ships no types

from functions.contract.bus import Topic
from socket_host.bus.manager import Bus


def open_bus(setting: str, rooms: type[socketio.AsyncManager] = socketio.AsyncManager) -> Bus:
    """Return the client manager for a setting; its `start` connects it to the other hosts.

    `rooms` is the manager that keeps the rooms and writes to the clients. Raises ValueError, which
    says what the setting must be, for one that names no bus.
    """
    kind, address = _parse(setting)
    manager = type(kind.__name__, (kind, rooms), {})
    bus: Bus = manager(*address)
    return bus


def _parse(setting: str) -> tuple[type[Bus], tuple[Any, ...]]:
    # What a bus is made with is imported only for it: boto3 takes as long as the rest of the host.
    scheme = setting.partition(":")[0]
    if setting == "local":
        return Bus, ()
    if scheme == "sns":
        topic = Topic.parse(setting)
        from socket_host.bus.sns import SnsBus

        return SnsBus, (topic,)
    if scheme in ("redis", "rediss", "valkey", "valkeys"):
        from socket_host.bus.redis import RedisBus
        from socket_host.bus.redis_connection import Address

        return RedisBus, (Address.parse(setting),)
    raise ValueError(f"must be local, sns:TOPIC_ARN, redis://… or valkey://…, not {setting!r}")
