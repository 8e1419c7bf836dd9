"""The setting BUS: which bus the host is on."""

from functions.contract.bus import Topic
from functions.contract.redis_address import SCHEMES, Address
from socket_host.bus.bus import Bus


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


def open_bus(setting: str) -> Bus:
    """Return the bus for a setting; its `start` connects it to the other hosts.

    Raises ValueError as `parse_bus` does.
    """
    # What a bus needs is imported only for it: boto3 takes as long as the rest of the host.
    match parse_bus(setting):
        case None:
            return Bus()
        case Topic() as topic:
            from socket_host.bus.sns import SnsBus

            return SnsBus(topic)
        case Address() as address:
            from socket_host.bus.redis import RedisBus

            return RedisBus(address)
