"""The setting BUS, and those that belong to it: which bus the host is on."""

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from functions.contract.bus import Topic
from functions.contract.redis_address import SCHEMES, Address
from socket_host.bus.bus import Bus

if TYPE_CHECKING:
    from socket_host.bus.function_queue import FunctionQueue

_QUEUE = re.compile(r"https?://[\w.:-]+/(?:[\w-]+/)*[\w-]+\.fifo", re.ASCII)


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


def parse_function_queue(url: str, bus: str) -> str:
    """Return the URL of an SQS FIFO queue; raise ValueError for another, or where none belongs."""
    if bus.partition(":")[0] not in SCHEMES:
        raise ValueError("belongs to a BUS of Redis or Valkey; by sns hosts hear functions anyway")
    if not _QUEUE.fullmatch(url):
        raise ValueError(f"must be the URL of an SQS FIFO queue, https://…/NAME.fifo, not {url!r}")
    return url


def open_bus(setting: str, password: str = "", function_queue: str = "") -> Bus:
    """Return the bus for a setting; its `start` connects it to the other hosts.

    Redis and Valkey may be given a password that the setting does not have, and the URL of the
    queue that has what functions emit. Raises ValueError as `parse_bus` does.
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

            if password:
                address = replace(address, password=password)
            return RedisBus(address, _open_function_queue(function_queue))


def _open_function_queue(url: str) -> "FunctionQueue | None":
    if not url:
        return None
    from socket_host.bus.function_queue import FunctionQueue

    return FunctionQueue(url)
