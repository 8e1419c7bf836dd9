"""The bus between socket hosts, and from functions to them.

`open_bus` returns the client manager for the setting BUS. `manager` has what all kinds share: an
`outbox` of what waits, each `outage`, a `memory` of what came; `redis` and `sns` carry messages.
"""

from socket_host.bus.loopback import Loopback
from socket_host.bus.manager import Bus
from socket_host.bus.setting import open_bus

__all__ = ["Bus", "Loopback", "open_bus"]
