"""The limits on a connection: what a client may send, and how long the host waits for it."""

from __future__ import annotations

from dataclasses import dataclass

from socket_host.settings import Settings

# Packets of one client that are handled in one iteration of the event loop.
PACKETS_A_TURN = 100

# Packets a client may send for each event it may send: acks, attachments and pongs count too.
PACKETS_AN_EVENT = 10

# Bytes that a client may leave unread before its next event is delayed: the size of a transport's
# own buffer.
UNREAD = 64 * 1024

MOST_ATTACHMENTS = 10  # of an event or ack: as many as the official parser accepts

UNJOINED = 10  # how many packets each counts as until its client has joined a namespace


@dataclass(frozen=True)
class Limits:
    """The limits on one client, or on all together where it says so: in seconds and bytes."""

    ping_interval: float = 25
    ping_grace: float = 0  # added to the ping interval that is sent to clients
    ping_timeout: float = 20
    payload: int = 100_000  # one websocket message, or the body of one POST
    connect: int = 4_096  # the same, until the client has joined a namespace
    partial: int = 16 << 20  # incomplete input of all clients together
    packets_per_second: float = 500  # on average; a client that sends more is closed
    packet_burst: float = 1_000
    bytes_per_second: float = 1 << 20  # on average; a client that sends more is slowed down
    byte_burst: float = 1 << 20
    backlog: int = 1 << 20  # unread data; with more than this, a client must make progress
    stall_time: float = 10  # how long a client with a backlog may go without reading
    # Unread data of all clients together. There are two such limits: for clients with a backlog, of
    # what they were sent since it began; and for those that have had more than UNREAD bytes to read
    # for longer than `stall_time`.
    unread: int = 64 << 20
    answer: int = 256 << 10  # of a handler's answer; a larger one is an error
    head: int = 12_288  # request line and headers: room for two cookies of 4 KB
    head_time: float = 10  # from connecting to the end of the headers, and for a POST's body
    probe_time: float = 10  # from the upgrade's handshake to its last packet
    ending_time: float = 5  # for a client to close its connection before it is aborted
    join_time: float = 10  # from the handshake to joining a namespace


def limits_of(settings: Settings) -> Limits:
    """Return the limits for a host with these settings."""
    return Limits(
        ping_interval=settings.ping_interval,
        ping_timeout=settings.ping_timeout,
        payload=settings.max_payload,
        connect=min(Limits.connect, settings.max_payload),
        packets_per_second=max(
            Limits.packets_per_second, PACKETS_AN_EVENT * settings.events_per_second
        ),
        packet_burst=max(Limits.packet_burst, PACKETS_AN_EVENT * settings.event_burst),
        answer=max(Limits.answer, settings.max_payload),  # a handler may echo what it got
        byte_burst=max(Limits.byte_burst, 2 * settings.max_payload),
    )
