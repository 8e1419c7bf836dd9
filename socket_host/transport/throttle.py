"""The throttle: token buckets for the packets and the bytes that one client sends."""

from __future__ import annotations

from socket_host.transport.limits import Limits


class FloodError(Exception):
    """A client has sent too many packets."""


class Throttle:
    """What one client may still send, as of the last time it was charged.

    Too many packets end the connection. Too many bytes only slow it down, since an honest upload
    may well be faster than the host allows.
    """

    __slots__ = ("_at", "_bytes", "_packets")

    def __init__(self, limits: Limits, now: float) -> None:
        self._at = now
        self._packets = float(limits.packet_burst)
        self._bytes = float(limits.byte_burst)

    def charge(self, limits: Limits, now: float, packets: int, size: int) -> float:
        """Charge for packets and bytes; return the seconds until the client may go on sending.

        Raises FloodError if it has sent too many packets.
        """
        self._refill(limits, now)
        self._packets -= packets
        self._bytes -= size
        if self._packets < 0:
            raise FloodError
        return max(0.0, -self._bytes / limits.bytes_per_second)

    def is_full(self, limits: Limits, now: float) -> bool:
        """Return whether the client has been quiet for so long that this throttle is as new."""
        self._refill(limits, now)
        return self._packets == limits.packet_burst and self._bytes == limits.byte_burst

    def _refill(self, limits: Limits, now: float) -> None:
        elapsed, self._at = now - self._at, now
        packets = self._packets + elapsed * limits.packets_per_second
        self._packets = min(packets, limits.packet_burst)
        self._bytes = min(self._bytes + elapsed * limits.bytes_per_second, limits.byte_burst)
