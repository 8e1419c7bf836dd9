"""The types of Engine.IO packets, as they are on the wire."""

OPEN, CLOSE, PING, PONG, MESSAGE, UPGRADE, NOOP = "0123456"
BASE64 = "b"  # a binary message as text
