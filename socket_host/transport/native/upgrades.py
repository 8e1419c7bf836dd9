"""Upgrades: clients that move from polling to a websocket."""

from __future__ import annotations

from operator import methodcaller
from typing import Any, Protocol

from socket_host.transport.native import frames
from socket_host.transport.native.packet_types import PING, PONG, UPGRADE
from socket_host.transport.timeout_queue import TimeoutQueue

_PROBE, _PROBED = PING + "probe", frames.packet_frame(PONG + "probe")


class PollingClient(Protocol):
    """A client that may upgrade."""

    probe: Any  # the websocket that it is upgrading to
    probed: bool  # whether that websocket has passed the probe

    @property
    def upgraded(self) -> bool:
        """Whether the client is on a websocket."""

    def wake(self) -> None:
        """Wake the waiting GET, if there is one."""

    def upgrade(self, socket: Any) -> None:
        """Replace polling with a websocket."""


class Candidate(Protocol):
    """A websocket that may replace polling."""

    prober: Any  # the client that is upgrading to it

    def __hash__(self) -> int:
        """Allow use in sets and dictionaries."""

    def write_tracked(self, frames: bytes) -> None:
        """Write frames to a client that may not be reading."""

    def end(self, code: int = frames.NORMAL, reason: str = "") -> None:
        """Send a close frame, and wait a little for the client to hang up."""


class Upgrades:
    """The websockets that are to replace polling; each has to do so within `seconds`."""

    def __init__(self, seconds: float) -> None:
        self.allowed = True
        self._timeouts: TimeoutQueue[Candidate] = TimeoutQueue(seconds, methodcaller("end"))

    def begin(self, socket: Candidate, client: PollingClient) -> None:
        """Start the upgrade of a client, or end the websocket if the client cannot upgrade."""
        if client.upgraded or client.probe is not None or not self.allowed:
            socket.end()
            return
        socket.prober, client.probe = client, socket
        self._timeouts.set(socket)

    def packet(self, socket: Candidate, client: PollingClient, packet: str | bytes) -> None:
        """Handle a packet on a websocket that has not replaced polling yet."""
        if packet == _PROBE:
            socket.write_tracked(_PROBED)
            client.probed = True
            client.wake()  # the client upgrades only once its last GET has been answered
        elif packet == UPGRADE:  # some clients send it without a probe
            self._timeouts.drop(socket)
            client.upgrade(socket)
        else:
            socket.end(frames.POLICY, "invalid packet")
            self.cancel(socket)

    def cancel(self, socket: Candidate) -> None:
        """Cancel an upgrade, if there is one, because its websocket ends."""
        self._timeouts.drop(socket)
        if socket.prober is not None:
            socket.prober.probe, socket.prober.probed = None, False
            socket.prober = None

    def stop(self) -> None:
        """Stop the timeouts."""
        self._timeouts.clear()
