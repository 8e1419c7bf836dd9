"""Connection state recovery: a client that reconnects soon gets its state and missed events.

The protocol is socket.io-client's. The answer to CONNECT contains a private id, `pid`. The client
sends it when it connects again, with the `offset` of the last event that it received. Then it gets
back its sid, its rooms and its session, and receives the events it missed before any new ones.
https://socket.io/docs/v4/connection-state-recovery
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, Self

from socket_host.transport.memory import size_of
from socket_host.transport.native.ended_sessions import EndedSessions
from socket_host.transport.native.replay_buffer import Entry, ReplayBuffer, Sent, is_portable
from socket_host.transport.timeout_queue import TimeoutQueue

MAX_DROPPED = 20_000  # disconnected sessions; beyond it, the oldest is dropped
MAX_BYTES = 32 * 1024 * 1024  # of all disconnected sessions; beyond it, the oldest is dropped
MAX_BYTES_EACH = MAX_BYTES // 64  # a session that is larger cannot be resumed
_SHARE = 8  # one visitor's sessions may take this part of each limit

LONGEST_OFFSET = 64  # characters; more than those issued here have

# Attempts in a row to resume a session without any missed event arriving. One of these events may
# be what ends the connection.
MAX_ATTEMPTS = 1

# How long after a pid was issued other hosts are asked about its session. A pid cannot be renewed,
# because an unchanged one tells the client that its session was recovered.
PID_SECONDS = 86_400

_PID = re.compile(r"([!-~]{1,128})\.([0-9a-f]{8})\.[0-9a-f]{32}")
_ANY_PID = re.compile(r"[!-~]{1,150}\.[0-9a-f]{32}")  # also without the time of issue

_REPLAY_SECONDS = 30  # for a client to read the events it missed

Key = tuple[str, str]  # a namespace, and a sid in it


class ResumeRequest(NamedTuple):
    """What a client sends with CONNECT in order to resume a session."""

    pid: str
    offset: Any

    @classmethod
    def of(cls, auth: Mapping[str, Any]) -> tuple[dict[str, Any], Self | None]:
        """Split what a client sent with CONNECT into the application's part and a ResumeRequest."""
        rest = dict(auth)
        pid = rest.get("pid")
        if not isinstance(pid, str) or not _ANY_PID.fullmatch(pid):
            return rest, None  # the application has a `pid` of its own
        del rest["pid"]
        return rest, cls(pid, rest.pop("offset", None))

    @property
    def is_plausible(self) -> bool:
        """Whether its offset could have been issued by a host."""
        offset = self.offset
        return offset is None or (isinstance(offset, str) and len(offset) <= LONGEST_OFFSET)


@dataclass(slots=True)
class ReplayPoint:
    """How far a client has received events: up to the position `start` in the replay buffer.

    `replayed` are earlier events, from another host, that are not known to have arrived. `offset`
    is the one the client came with from that host; while it sends that one, nothing has arrived.
    """

    start: int
    offset: str | None = None
    replayed: Sequence[Sent] = ()
    attempts: int = 0  # to resume, in a row and including this one, with no event arriving

    def confirm(self, position: int) -> None:
        """Note that everything up to a position in the replay buffer has arrived."""
        if position >= self.start:
            self.start, self.replayed, self.attempts = position, (), 0

    def resumed(self, replay_buffer: ReplayBuffer, offset: str | None) -> ReplayPoint | None:
        """Return the replay point of the resumed session; None if it cannot be resumed."""
        start, replayed = self.start, self.replayed
        if offset is not None and offset != self.offset:
            match replay_buffer.numbers(offset):
                case [position] if position > start:
                    start, replayed = position, ()
                case [position, left] if position == start and left < len(replayed):
                    replayed = replayed[len(replayed) - left :]
                case []:
                    return None
                # Any other offset is older than the replay point: nothing has arrived since.
        if not replay_buffer.reaches(start):
            return None
        moved = start > self.start or len(replayed) < len(self.replayed)
        attempts = 1 if moved else self.attempts + 1
        if attempts > MAX_ATTEMPTS:
            return None
        return ReplayPoint(start, self.offset, replayed, attempts)


@dataclass(slots=True)
class DisconnectedSession:
    """A session that may be resumed; each room has the position at which it was entered."""

    namespace: str
    sid: str
    rooms: dict[Any, int]
    data: dict[str, Any] | None  # saved with `save_session`
    replay_point: ReplayPoint
    owner: str = ""  # the id of its visitor; empty if there is none, or it is not known
    size: int = 0  # approximate bytes

    def missed(self, replay_buffer: ReplayBuffer, replay_point: ReplayPoint) -> list[Sent] | None:
        """Return the missed events, oldest first; None if some are no longer in the buffer."""
        entries = replay_buffer.since(replay_point.start)
        if entries is None:
            return None
        try:
            return [*replay_point.replayed, *self.concerned(replay_buffer, entries)]
        except LookupError:
            return None

    def concerned(self, replay_buffer: ReplayBuffer, entries: list[Entry]) -> list[Sent]:
        """Return the events for this session; raise LookupError if one was too large to keep."""
        mine = []
        for entry in entries:
            if entry.concerns(self.namespace, self.sid, self.rooms):
                if entry.message is None:
                    raise LookupError
                mine.append(Sent(entry.message.packets, replay_buffer.offset(entry.position)))
        return mine

    @property
    def portable(self) -> bool:
        """Whether its state can be sent to another host as JSON without loss."""
        try:
            json.dumps(self.data, allow_nan=False)
        except (TypeError, ValueError, RecursionError):
            return False
        return all(map(is_portable, self.rooms))

    def measure(self) -> int:
        """Return its approximate size in bytes; stop counting beyond MAX_BYTES_EACH."""
        size = 800 + sum(sent.size for sent in self.replay_point.replayed)
        return size + size_of([self.data, *self.rooms], MAX_BYTES_EACH)

    def to_json(self) -> list[Any]:
        """Return it in the form that is sent to other hosts."""
        replay_point = self.replay_point
        rooms = [[name, position] for name, position in self.rooms.items()]
        about = [
            replay_point.start,
            replay_point.offset,
            [sent.to_json() for sent in replay_point.replayed],
        ]
        return [self.namespace, self.sid, rooms, self.data, *about, replay_point.attempts]

    @classmethod
    def of(
        cls,
        namespace: str,
        sid: str,
        rooms: list[tuple[Any, int]],
        data: dict[str, Any] | None,
        start: int,
        offset: str | None,
        replayed: list[list[str]],
        attempts: int = 0,
    ) -> Self:
        """Do the reverse of `to_json`."""
        replay_point = ReplayPoint(start, offset, [Sent.of(*sent) for sent in replayed], attempts)
        return cls(namespace, sid, dict(rooms), data, replay_point)


@dataclass(slots=True)
class ResumedSession:
    """A session that a client resumes, and where its replay begins."""

    disconnected: DisconnectedSession
    replay_point: ReplayPoint
    pid: str = ""


class OtherHosts(Protocol):
    """The other hosts, from which clients may come."""

    async def find(
        self, namespace: str, sid: str, offset: str | None, *, ask: bool = True
    ) -> ResumedSession | None:
        """Resume a session from another host or its shutdown snapshot; None if there is none.

        `ask` is whether to ask the other hosts.
        """

    def received_elsewhere(self, message_id: str) -> list[str]:
        """Return the sids of the clients that received this message on another host."""


class Recovery:
    """The disconnected sessions of this host, and the events they miss.

    A session can be resumed for `seconds`. `secret` signs private ids, which the `former` ones
    still verify. `unconfirmed` is how many seconds may pass until a dead connection is noticed.
    """

    def __init__(
        self, seconds: float, secret: str | None, *former: str, unconfirmed: float = 0
    ) -> None:
        self.replay_buffer = ReplayBuffer(seconds + unconfirmed + _REPLAY_SECONDS)
        key = secret.encode() if secret else secrets.token_bytes(32)
        self._mac, *self._former = map(_mac, (key, *(each.encode() for each in former)))
        self.migration: OtherHosts | None = None
        # Ends the old connection of a session, if it is still open, and waits for its end. Clients
        # often notice that a network broke before the host does.
        self.close_member: Callable[[str, str], Awaitable[None]] = _do_nothing
        self.is_member: Callable[[str, str], bool] = lambda namespace, sid: False
        self._disconnected: dict[Key, DisconnectedSession] = {}
        self._size = 0  # bytes, of all disconnected sessions
        self._of_owner: dict[str, dict[Key, int]] = {}  # the sizes of each visitor's sessions
        self._timeouts: TimeoutQueue[Key] = TimeoutQueue(seconds, self._expire)
        # Twice as long, because a session in a shutdown snapshot may be resumed that late.
        self.ended = EndedSessions(2 * seconds)

    def pid(self, sid: str, owner: str, issued: str = "") -> str:
        """Return the private id with which `owner`, and nobody else, may resume this sid."""
        issued = issued or f"{int(time.time()):08x}"
        return _pid(self._mac, sid, owner, issued)

    def is_valid(self, pid: str, owner: str) -> bool:
        """Return whether a private id was signed for `owner` with one of the secrets."""
        found = _PID.fullmatch(pid)
        if found is None:
            return False
        sid, issued = found.groups()
        macs = (self._mac, *self._former)
        return any(hmac.compare_digest(pid, _pid(mac, sid, owner, issued)) for mac in macs)

    def keep(self, disconnected: DisconnectedSession) -> None:
        """Keep a session for a while, so that it can be resumed."""
        disconnected.size = disconnected.measure()
        if disconnected.size > MAX_BYTES_EACH:
            return
        key = disconnected.namespace, disconnected.sid
        self._disconnected[key] = disconnected
        self._size += disconnected.size
        self._timeouts.set(key)
        if disconnected.owner:
            self._keep_to_share(disconnected, key)
        while len(self._disconnected) > MAX_DROPPED or self._size > MAX_BYTES:
            self.take(*next(iter(self._disconnected)))

    def _keep_to_share(self, disconnected: DisconnectedSession, key: Key) -> None:
        """Drop the visitor's own oldest sessions if they take too much."""
        own = self._of_owner.setdefault(disconnected.owner, {})
        own[key] = disconnected.size
        most, most_bytes = MAX_DROPPED // _SHARE, MAX_BYTES // _SHARE
        while len(own) > 1 and (len(own) > most or sum(own.values()) > most_bytes):
            self.take(*next(iter(own)))

    def take(self, namespace: str, sid: str) -> DisconnectedSession | None:
        """Remove and return a disconnected session; None if it is not known."""
        self._timeouts.drop((namespace, sid))
        disconnected = self._disconnected.pop((namespace, sid), None)
        if disconnected is not None:
            self._size -= disconnected.size
            if own := self._of_owner.get(disconnected.owner):
                own.pop((namespace, sid), None)
                if not own:
                    del self._of_owner[disconnected.owner]
        return disconnected

    def take_all(self) -> list[DisconnectedSession]:
        """Remove and return all disconnected sessions, because this host stops."""
        self._timeouts.clear()
        self.ended.stop()
        self._of_owner.clear()
        disconnected, self._disconnected, self._size = self._disconnected, {}, 0
        return list(disconnected.values())

    def knows(self, namespace: str, sid: str) -> bool:
        """Return whether a session is connected, or disconnected but kept, on this host."""
        return (namespace, sid) in self._disconnected or self.is_member(namespace, sid)

    async def find(
        self, namespace: str, resume_request: ResumeRequest, owner: str
    ) -> ResumedSession | None:
        """Resume a session from this host or another; None if it cannot be resumed."""
        pid, offset = resume_request
        if not resume_request.is_plausible or not self.is_valid(pid, owner):
            return None
        sid, issued, _ = pid.rsplit(".", 2)
        if self.knows(namespace, sid):
            resumed = await self.resume(namespace, sid, offset)
        elif self.migration is not None:
            is_young = time.time() - int(issued, 16) < PID_SECONDS
            resumed = await self.migration.find(namespace, sid, offset, ask=is_young)
        else:
            return None
        # Checked last, because the session may be ended during the search.
        if resumed is None or self.ended.has(owner, int(issued, 16)):
            return None
        resumed.pid = pid
        return resumed

    def received_elsewhere(self, message_id: str) -> list[str]:
        """Return the sids of the clients that received this message on another host."""
        return self.migration.received_elsewhere(message_id) if self.migration else []

    async def resume(self, namespace: str, sid: str, offset: str | None) -> ResumedSession | None:
        """Resume a session of this host; None if it cannot be resumed."""
        await self.close_member(namespace, sid)
        disconnected = self.take(namespace, sid)
        replay_point = disconnected and disconnected.replay_point.resumed(
            self.replay_buffer, offset
        )
        return ResumedSession(disconnected, replay_point) if disconnected and replay_point else None

    def _expire(self, key: Key) -> None:
        self.take(*key)


def _mac(key: bytes) -> hashlib.blake2b:
    # Keyed BLAKE2 is cheaper than HMAC, and every handshake needs it.
    return hashlib.blake2b(key=hmac.digest(key, b"sidepath.recovery.v1", "sha256"), digest_size=16)


def _pid(mac: hashlib.blake2b, sid: str, owner: str, issued: str) -> str:
    mac = mac.copy()
    mac.update(f"{sid}.{issued} {owner}".encode())
    return f"{sid}.{issued}.{mac.hexdigest()}"


async def _do_nothing(namespace: str, sid: str) -> None:
    """Do nothing: there is no server yet."""
