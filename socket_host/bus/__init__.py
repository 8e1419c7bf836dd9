"""The bus between socket hosts, and from functions to them.

`open_bus` returns the bus for the setting BUS, which is given to a client manager. `bus` says what
every bus can do; `shared` has what those between hosts have in common: an `outbox` of what waits,
an `inbox` that knows the `seen_messages`, a `schema` of what may come, `refusals` of what may not,
and the `outage` of each way. `redis` and `sns` carry the messages; `function_queue` brings those of
functions, where the bus is Redis. `peers` knows which other hosts are alive. `loopback` is for
functions on the host's own machine.
"""

from socket_host.bus.bus import Bus
from socket_host.bus.loopback import Loopback
from socket_host.bus.setting import open_bus, parse_bus, parse_function_queue

__all__ = ["Bus", "Loopback", "open_bus", "parse_bus", "parse_function_queue"]
