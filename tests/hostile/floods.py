"""Floods: packets that one connection sends repeatedly."""

from tests.kit.protocol_client import PING, frame

FLOODS = {
    "pong": frame(b"3"),
    "noop": frame(b"6"),
    "refused event": frame(b'42["busy",true]'),
    "unknown event": frame(b'42["x"]'),
    "event with ack": frame(b'421["busy",true]'),
    "acks nobody waits for": frame(b"431[]"),
    "disconnect of another namespace": frame(b"41/x,"),
    "event for another namespace": frame(b'42/x,["x"]'),
    "unknown namespace": frame(b"40/x,"),
    "websocket ping": frame(b"", PING),
    "empty fragments": frame(b"3", final=False) + frame(b"", 0, final=False) * 50 + frame(b"", 0),
}
