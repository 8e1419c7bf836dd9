"""The bus between socket hosts, and from functions to them.

`open_bus` returns the client manager for the setting BUS. `manager` has what all kinds share, with
an `outbox` of what waits, a `memory` of what came, a `schema` of what may come, `refusals` of what
may not, and the `outage` of each way; `redis` and `sns` carry the messages. `peers` knows which
other hosts are alive. `loopback` is for functions on the host's own machine.
"""

from socket_host.bus.loopback import Loopback
from socket_host.bus.manager import Bus
from socket_host.bus.setting import open_bus, parse_bus

__all__ = ["Bus", "Loopback", "open_bus", "parse_bus"]
