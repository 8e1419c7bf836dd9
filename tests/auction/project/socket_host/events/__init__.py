"""The auction's events."""

from socket_host.events.auction import Auction
from socket_host.events.desk import Desk
from socket_host.events.hall import Hall

namespaces = [Auction, Desk, Hall]
