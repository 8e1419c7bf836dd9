"""The limits of a connection: what a client may send, hold and wait for."""

from __future__ import annotations

from dataclasses import dataclass

from socket_host.settings import Settings

# Packets of one client that are taken in one turn of the event loop; then it is the others' turn.
PACKETS_A_TURN = 100

PACKETS_AN_EVENT = 10  # packets a client may send for each event it may: acks, attachments, pongs


MOST_ATTACHMENTS = 10  # of an event or ack: as many as the official parser takes

UNJOINED = 10  # packets that one of a client is worth that has not joined a namespace


@dataclass(frozen=True)
class Limits:
    """What a client gets: times in seconds, sizes in bytes."""

    ping_interval: float = 25
    ping_grace: float = 0  # by which clients are told that pings may be late
    ping_timeout: float = 20
    payload: int = 100_000  # one websocket message, or the body of one POST
    connect: int = 4_096  # the same, until the client has joined a namespace
    partial: int = 16 << 20  # input of all clients together that is not complete
    packets_per_second: float = 500  # of one client, on average; one that sends more is closed
    packet_burst: float = 1_000
    bytes_per_second: float = 1 << 20  # of one client, on average; one that sends more has to wait
    byte_burst: float = 1 << 20
    backlog: int = (
        1 << 20
    )  # what may wait for one client; beyond it the client has to make progress
    stall_time: float = 10  # for which a client with a backlog may read nothing of it
    unread: int = 64 << 20  # what all clients together are sent while they have a backlog
    answer: int = 256 << 10  # what a handler answers; a longer one is an error
    head: int = 12_288  # request line and headers: a cookie or two of 4 KB and room to spare
    head_time: float = 10  # from connecting to the end of the headers, and for a POST's body
    probe_time: float = 10  # from the upgrade's handshake to its last packet
    ending_time: float = 5  # for a client to hang up after it was told to
    join_time: float = 10  # from the handshake to being connected in a namespace


def limits_of(settings: Settings) -> Limits:
    """Return the limits that a host's settings ask for."""
    return Limits(
        ping_interval=settings.ping_interval,
        ping_timeout=settings.ping_timeout,
        payload=settings.max_payload,
        connect=min(Limits.connect, settings.max_payload),
        packets_per_second=max(
            Limits.packets_per_second, PACKETS_AN_EVENT * settings.events_per_second
        ),
        packet_burst=max(Limits.packet_burst, PACKETS_AN_EVENT * settings.event_burst),
        answer=max(Limits.answer, settings.max_payload),  # for those who send back what came
        byte_burst=max(Limits.byte_burst, 2 * settings.max_payload),
    )
