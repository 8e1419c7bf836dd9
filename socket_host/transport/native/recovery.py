"""Connection state recovery: a client that drops and is soon back goes on where it was.

On the wire as socket.io-client speaks it: CONNECT is answered with a private id, `pid`, which the
client brings along when it connects again, with the `offset` of the last event it has had. Then it
gets its sid, its rooms and its session back, and what it missed before anything new.
https://socket.io/docs/v4/connection-state-recovery
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, Self

from socket_host.transport.native.replay_buffer import Entry, ReplayBuffer, Sent, is_portable
from socket_host.transport.timeout_queue import TimeoutQueue

MAX_DROPPED = 20_000  # clients that may come back; beyond it the one that went first cannot
MAX_BYTES = 32 * 1024 * 1024  # that all of them leave behind; beyond it the same
MAX_BYTES_EACH = MAX_BYTES // 64  # one that leaves more begins anew

LONGEST_OFFSET = 64  # characters; ours have some 30

# Recoveries in a row after which nothing of what was missed had arrived. What is sent again may be
# just what ends the connection.
MAX_ATTEMPTS = 1

# For which other hosts are asked about a client; the host it was at knows it for as long as it
# stays. A pid cannot be renewed: that it is the same tells the client that it is recovered.
PID_SECONDS = 86_400

_PID = re.compile(r"([!-~]{1,128})\.([0-9a-f]{8})\.[0-9a-f]{32}")
_ANY_PID = re.compile(r"[!-~]{1,150}\.[0-9a-f]{32}")  # those that were issued without a time too

_REPLAY_SECONDS = 30  # that a client may take to read what it missed

Key = tuple[str, str]  # a namespace, and a sid in it


class ResumeRequest(NamedTuple):
    """What a client brings along that wants to go on where it was."""

    pid: str
    offset: Any

    @classmethod
    def of(cls, auth: Mapping[str, Any]) -> tuple[dict[str, Any], Self | None]:
        """Split what a client sent with CONNECT into the application's part and a ResumeRequest."""
        rest = dict(auth)
        pid = rest.get("pid")
        if not isinstance(pid, str) or not _ANY_PID.fullmatch(pid):
            return rest, None  # the application's own
        del rest["pid"]
        return rest, cls(pid, rest.pop("offset", None))

    @property
    def is_plausible(self) -> bool:
        """Whether its offset could be one of ours."""
        offset = self.offset
        return offset is None or (isinstance(offset, str) and len(offset) <= LONGEST_OFFSET)


@dataclass(slots=True)
class ReplayPoint:
    """How much a client has had of what concerns it: all up to `start` in the replay buffer.

    `replayed` is what it had missed at another host and has, as far as is known, not had yet.
    `offset` is the one it came with from there: while it says that, nothing has arrived since.
    """

    start: int
    offset: str | None = None
    replayed: Sequence[Sent] = ()
    attempts: int = 0  # recoveries in a row, this one too, with nothing arriving between them

    def prove(self, position: int) -> None:
        """Note that everything up to a position of the replay buffer has arrived."""
        if position >= self.start:
            self.start, self.replayed, self.attempts = position, (), 0

    def resumed(self, replay_buffer: ReplayBuffer, offset: str | None) -> ReplayPoint | None:
        """Return the visit of the client when it is back; None if there can be none."""
        start, replayed = self.start, self.replayed
        if offset is not None and offset != self.offset:
            match replay_buffer.numbers(offset):
                case [position] if position > start:
                    start, replayed = position, ()
                case [position, left] if position == start and left < len(replayed):
                    replayed = replayed[len(replayed) - left :]
                case []:
                    return None
                # Any other is older than the replay point: nothing has arrived since.
        if not replay_buffer.reaches(start):
            return None
        moved = start > self.start or len(replayed) < len(self.replayed)
        attempts = 1 if moved else self.attempts + 1
        if attempts > MAX_ATTEMPTS:
            return None
        return ReplayPoint(start, self.offset, replayed, attempts)


@dataclass(slots=True)
class DisconnectedSession:
    """A client that may come back; its rooms come with the position it entered them at."""

    namespace: str
    sid: str
    rooms: dict[Any, int]
    data: dict[str, Any] | None  # what `save_session` was given
    replay_point: ReplayPoint
    size: int = 0  # bytes, roughly

    def missed(self, replay_buffer: ReplayBuffer, replay_point: ReplayPoint) -> list[Sent] | None:
        """Return the events it has not had, oldest first; None if they are not known any more."""
        entries = replay_buffer.since(replay_point.start)
        if entries is None:
            return None
        try:
            return [*replay_point.replayed, *self.concerned(replay_buffer, entries)]
        except LookupError:
            return None

    def concerned(self, replay_buffer: ReplayBuffer, entries: list[Entry]) -> list[Sent]:
        """Return the events that are for this session; raise LookupError if one is lost."""
        mine = []
        for entry in entries:
            if entry.concerns(self.namespace, self.sid, self.rooms):
                if entry.message is None:
                    raise LookupError
                mine.append(Sent(entry.message.packets, replay_buffer.offset(entry.position)))
        return mine

    @property
    def portable(self) -> bool:
        """Whether JSON brings its state to another host as it is."""
        try:
            json.dumps(self.data, allow_nan=False)
        except (TypeError, ValueError, RecursionError):
            return False
        return all(map(is_portable, self.rooms))

    def weigh(self) -> int:
        """Return about how many bytes it takes, having counted no further than it may."""
        size = 800 + sum(sent.size for sent in self.replay_point.replayed)
        waiting: list[Any] = [self.data, *self.rooms]
        while waiting and size <= MAX_BYTES_EACH:
            thing = waiting.pop()
            size += sys.getsizeof(thing) + 8
            if isinstance(thing, dict):
                waiting += thing.keys()
                waiting += thing.values()
            elif isinstance(thing, (list, tuple, set, frozenset)):
                waiting += thing
        return size

    def to_json(self) -> list[Any]:
        """Return it in the form in which it goes to other hosts."""
        replay_point = self.replay_point
        rooms = list(self.rooms.items())
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
        """Return what `to_json` was of."""
        replay_point = ReplayPoint(start, offset, [Sent.of(*sent) for sent in replayed], attempts)
        return cls(namespace, sid, dict(rooms), data, replay_point)


@dataclass(slots=True)
class ResumedSession:
    """A session that a client has resumed, and where its replay begins."""

    disconnected: DisconnectedSession
    replay_point: ReplayPoint
    pid: str = ""


class OtherHosts(Protocol):
    """Where clients may come from that are not known here."""

    async def find(
        self, namespace: str, sid: str, offset: str | None, *, ask: bool = True
    ) -> ResumedSession | None:
        """Return the return of a client that another host has, or has left; None if none has."""

    def elsewhere(self, message_id: str) -> list[str]:
        """Return the sids of those who have had this message on the host they came from."""


class Recovery:
    """Who may come back to this host, and what they will have missed. Times are in seconds.

    The secret signs private ids, and the former ones still verify them. `unproved` is how long it
    may take to notice that nothing arrives at a client any more.
    """

    def __init__(
        self, seconds: float, secret: str | None, *former: str, unproved: float = 0
    ) -> None:
        self.replay_buffer = ReplayBuffer(seconds + unproved + _REPLAY_SECONDS)
        key = secret.encode() if secret else secrets.token_bytes(32)
        self._mac, *self._former = map(_mac, (key, *(each.encode() for each in former)))
        self.migration: OtherHosts | None = None  # from and to other hosts, if there are any
        # Ends the connection a client is taken to have still, and waits for its end. Of a network
        # that broke, the client often knows before the host does.
        self.let_go: Callable[[str, str], Awaitable[None]] = _nobody
        self.is_here: Callable[[str, str], bool] = lambda namespace, sid: False
        self._disconnected: dict[Key, DisconnectedSession] = {}
        self._size = 0  # bytes that they leave
        self._timeouts: TimeoutQueue[Key] = TimeoutQueue(seconds, self._expire)

    def pid(self, sid: str, owner: str, issued: str = "") -> str:
        """Return the private id that lets `owner`, and nobody else, have this sid again."""
        issued = issued or f"{int(time.time()):08x}"
        return _pid(self._mac, sid, owner, issued)

    def is_valid(self, pid: str, owner: str) -> bool:
        """Tell if a private id was made for `owner`, with one of the secrets."""
        found = _PID.fullmatch(pid)
        if found is None:
            return False
        sid, issued = found.groups()
        macs = (self._mac, *self._former)
        return any(hmac.compare_digest(pid, _pid(mac, sid, owner, issued)) for mac in macs)

    def keep(self, disconnected: DisconnectedSession) -> None:
        """Let a client come back, for a while."""
        disconnected.size = disconnected.weigh()
        if disconnected.size > MAX_BYTES_EACH:
            return
        key = disconnected.namespace, disconnected.sid
        self._disconnected[key] = disconnected
        self._size += disconnected.size
        self._timeouts.set(key)
        while len(self._disconnected) > MAX_DROPPED or self._size > MAX_BYTES:
            self.take(*next(iter(self._disconnected)))

    def take(self, namespace: str, sid: str) -> DisconnectedSession | None:
        """Return a client that may come back, for it is back; None if it is not known."""
        self._timeouts.drop((namespace, sid))
        disconnected = self._disconnected.pop((namespace, sid), None)
        if disconnected is not None:
            self._size -= disconnected.size
        return disconnected

    def take_all(self) -> list[DisconnectedSession]:
        """Return all who may come back: this host ends."""
        self._timeouts.clear()
        disconnected, self._disconnected, self._size = self._disconnected, {}, 0
        return list(disconnected.values())

    def knows(self, namespace: str, sid: str) -> bool:
        """Tell if a client is here, or has been a moment ago."""
        return (namespace, sid) in self._disconnected or self.is_here(namespace, sid)

    async def find(
        self, namespace: str, resume_request: ResumeRequest, owner: str
    ) -> ResumedSession | None:
        """Return the return of a client, wherever it was; None if there can be none."""
        pid, offset = resume_request
        if not resume_request.is_plausible or not self.is_valid(pid, owner):
            return None
        sid, issued, _ = pid.rsplit(".", 2)
        if self.knows(namespace, sid):
            back = await self.resume(namespace, sid, offset)
        elif self.migration is not None:
            is_young = time.time() - int(issued, 16) < PID_SECONDS
            back = await self.migration.find(namespace, sid, offset, ask=is_young)
        else:
            return None
        if back is not None:
            back.pid = pid
        return back

    def elsewhere(self, message_id: str) -> list[str]:
        """Return the sids of those who have had this message on the host they came from."""
        return self.migration.elsewhere(message_id) if self.migration else []

    async def resume(self, namespace: str, sid: str, offset: str | None) -> ResumedSession | None:
        """Return the return of a client that was here; None if there can be none."""
        await self.let_go(namespace, sid)
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


async def _nobody(namespace: str, sid: str) -> None:
    """Let nobody go: there is no server yet."""
