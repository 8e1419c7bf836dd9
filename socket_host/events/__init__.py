"""Yours: the events, a module a namespace."""

from socket_host.events.chat import Chat

namespaces = [Chat]
