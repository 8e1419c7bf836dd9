"""The bus between socket hosts, and from functions to them.

`open_bus` returns the bus for the setting BUS; pass it to a client manager. `bus` has the
interface of every bus; `shared` is the base of those between hosts, with an `outbox` of waiting
messages, an `inbox` that checks messages against a `schema` and drops duplicates (`seen_messages`),
a count of `refusals`, and the `outage` of each direction. `redis` and `sns` carry the messages;
`function_queue` brings those of functions if the bus is Redis. `peers` knows which other hosts are
alive. `loopback` is for functions on the host's own machine.
"""

from socket_host.bus.bus import Bus
from socket_host.bus.loopback import Loopback
from socket_host.bus.setting import open_bus, parse_bus, parse_function_queue

__all__ = ["Bus", "Loopback", "open_bus", "parse_bus", "parse_function_queue"]
