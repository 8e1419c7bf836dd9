"""The setting BUS: which bus the host is on."""

import socketio  # type: ignore[import-untyped]  # python-socketio ships no types

from functions.contract.bus import Topic
from socket_host.bus.address import SCHEMES, Address
from socket_host.bus.manager import Bus


def parse_bus(setting: str) -> Topic | Address | None:
    """Return where the bus is, None for `local`.

    Raises ValueError, which says what the setting must be, for one that names no bus.
    """
    scheme = setting.partition(":")[0]
    if setting == "local":
        return None
    if scheme == "sns":
        return Topic.parse(setting)
    if scheme in SCHEMES:
        return Address.parse(setting)
    raise ValueError(f"must be local, sns:TOPIC_ARN, redis://… or valkey://…, not {setting!r}")


def open_bus(setting: str, rooms: type[socketio.AsyncManager] = socketio.AsyncManager) -> Bus:
    """Return the client manager for a setting; its `start` connects it to the other hosts.

    `rooms` is the manager that keeps the rooms and writes to the clients. Raises ValueError as
    `parse_bus` does.
    """
    # What a bus needs is imported only for it: boto3 takes as long as the rest of the host.
    match parse_bus(setting):
        case None:
            return _mix(Bus, rooms)
        case Topic() as topic:
            from socket_host.bus.sns import SnsBus

            return _mix(SnsBus, rooms, topic)
        case Address() as address:
            from socket_host.bus.redis import RedisBus

            return _mix(RedisBus, rooms, address)


def _mix(kind: type[Bus], rooms: type[socketio.AsyncManager], *where: Topic | Address) -> Bus:
    bus: Bus = type(kind.__name__, (kind, rooms), {})(*where)
    return bus
