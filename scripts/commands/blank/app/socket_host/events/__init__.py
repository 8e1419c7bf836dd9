"""Yours: the events, one module for each namespace."""

from socket_host.events.front import Front

namespaces = [Front]
