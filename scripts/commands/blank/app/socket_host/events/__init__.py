"""Yours: the events, a module a namespace."""

from socket_host.events.hello import Hello

namespaces = [Hello]
