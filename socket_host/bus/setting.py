"""The setting BUS and related ones, which select the host's bus."""

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
    """Return the address of the bus, None for `local`.

    Raises ValueError, which says what the setting must be, if it is malformed.
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
    """Return the URL of an SQS FIFO queue; raise ValueError if it is not one, or not allowed."""
    if bus.partition(":")[0] not in SCHEMES:
        raise ValueError("is for a BUS of Redis or Valkey; SNS needs no queue for functions")
    if not _QUEUE.fullmatch(url):
        raise ValueError(f"must be the URL of an SQS FIFO queue, https://…/NAME.fifo, not {url!r}")
    return url


def open_bus(setting: str, password: str = "", function_queue: str = "") -> Bus:
    """Return the bus for a setting; its `start` connects it to the other hosts.

    `password`, used if the setting has none, and `function_queue`, the URL of the queue with
    functions' emits, are for Redis and Valkey. Raises ValueError as `parse_bus` does.
    """
    # Imported only for the bus that needs it: boto3 is slow to import.
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
