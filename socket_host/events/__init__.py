"""Yours: the events, one module for each namespace."""

from socket_host.events.chat import Chat

namespaces = [Chat]
