"""Yours: the events, a module a namespace."""

from socket_host.events.front import Front

namespaces = [Front]
