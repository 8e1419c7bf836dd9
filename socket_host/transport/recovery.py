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
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from socket_host.transport.deadlines import Deadlines
from socket_host.transport.journal import Entry, Journal, Sent

if TYPE_CHECKING:
    from socket_host.transport.handover import Handover

MAX_DROPPED = 20_000  # clients that may come back; beyond it the one that went first cannot

_LONGEST_PID = 200  # characters; ours have 53

Key = tuple[str, str]  # a namespace, and a sid in it


@dataclass(slots=True)
class Visit:
    """From when on a client has had what concerns it.

    What it had missed before, and was sent then, is in `replayed`, as the first of it may be all
    that arrived. `offset` is the one it came with.
    """

    start: int
    offset: str | None = None
    replayed: Sequence[Sent] = ()

    def unseen(
        self, journal: Journal, offset: str | None
    ) -> tuple[Sequence[Sent], list[Entry]] | None:
        """Return what came after an offset: of the replayed, and of the journal.

        None if that is not known any more.
        """
        position, replayed = self.start, len(self.replayed)
        if offset == self.offset:  # nothing has arrived since
            replayed = 0
        else:
            match _numbers(journal.tag, offset):
                case [place] if place >= self.start:
                    position = place
                case [self.start, number] if number < len(self.replayed):
                    replayed = number + 1
                case _:
                    return None
        entries = journal.since(position)
        return None if entries is None else (self.replayed[replayed:], entries)


@dataclass(slots=True)
class Dropped:
    """A client that may come back; its rooms come with the position it entered them at."""

    namespace: str
    sid: str
    rooms: dict[Any, int]
    data: dict[str, Any] | None  # what `save_session` was given
    visit: Visit

    def missed(self, journal: Journal, offset: str | None) -> list[Sent] | None:
        """Return the events it has not had, oldest first; None if they are not known any more."""
        unseen = self.visit.unseen(journal, offset)
        if unseen is None:
            return None
        replayed, entries = unseen
        return [*replayed, *self.concerned(journal, entries)]

    def concerned(self, journal: Journal, entries: list[Entry]) -> list[Sent]:
        """Return those events of a journal that are for it."""
        mine = (e for e in entries if e.concerns(self.namespace, self.sid, self.rooms))
        return [journal.sent(entry) for entry in mine]

    @property
    def portable(self) -> bool:
        """Whether JSON brings its state to another host as it is."""
        try:
            json.dumps(self.data)
        except (TypeError, ValueError, RecursionError):
            return False
        return all(isinstance(room, (str, int)) for room in self.rooms)

    def to_json(self) -> list[Any]:
        """Return it in the form in which it goes to other hosts."""
        visit = self.visit
        replayed = [sent.to_json() for sent in visit.replayed]
        rooms = list(self.rooms.items())
        return [self.namespace, self.sid, rooms, self.data, visit.start, visit.offset, replayed]

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
    ) -> Self:
        """Return what `to_json` was of."""
        visit = Visit(start, offset, [Sent.of(*sent) for sent in replayed])
        return cls(namespace, sid, dict(rooms), data, visit)


@dataclass(slots=True)
class Return:
    """A client that is back, with what it has missed up to a position of this host's journal."""

    dropped: Dropped
    offset: str | None
    missed: list[Sent]
    position: int


class Recovery:
    """Who may come back to this host, and what they will have missed. Times are in seconds."""

    def __init__(self, seconds: float, secret: str | None, *former: str) -> None:
        self.journal = Journal(seconds)
        key = secret.encode() if secret else secrets.token_bytes(32)
        self._mac, *self._former = map(_mac, (key, *(each.encode() for each in former)))
        self.handover: Handover | None = None  # from and to other hosts, if there are any
        # Ends the connection a client is taken to have still. Of a network that broke, the client
        # often knows before the host does.
        self.let_go: Callable[[str, str], Awaitable[None]] = _nobody
        self._dropped: dict[Key, Dropped] = {}
        self._deadlines: Deadlines[Key] = Deadlines(seconds, self._expire)

    def pid(self, sid: str, owner: str) -> str:
        """Return the private id that lets `owner`, and nobody else, have this sid again."""
        return _pid(self._mac, sid, owner)

    def sid(self, auth: Any, owner: str) -> str | None:
        """Return the sid that a client may have again, by the pid it brings; None if it may not."""
        pid = auth.get("pid") if isinstance(auth, Mapping) else None
        if not isinstance(pid, str) or len(pid) > _LONGEST_PID or not pid.isascii():
            return None
        sid = pid.rpartition(".")[0]
        macs = (self._mac, *self._former)
        mine = any(hmac.compare_digest(pid, _pid(mac, sid, owner)) for mac in macs)
        return sid if mine else None

    def keep(self, dropped: Dropped) -> None:
        """Let a client come back, for a while."""
        key = dropped.namespace, dropped.sid
        self._dropped[key] = dropped
        self._deadlines.set(key)
        if len(self._dropped) > MAX_DROPPED:
            self.take(*next(iter(self._dropped)))

    def take(self, namespace: str, sid: str) -> Dropped | None:
        """Return a client that may come back, for it is back; None if it is not known."""
        self._deadlines.drop((namespace, sid))
        return self._dropped.pop((namespace, sid), None)

    def take_all(self) -> list[Dropped]:
        """Return all who may come back: this host ends."""
        self._deadlines.clear()
        dropped, self._dropped = self._dropped, {}
        return list(dropped.values())

    async def find(self, namespace: str, sid: str, offset: str | None) -> Return | None:
        """Return the return of a client, wherever it was; None if there can be none."""
        back = await self.resume(namespace, sid, offset)
        if back is None and self.handover is not None:
            back = await self.handover.find(namespace, sid, offset)
        return back

    def elsewhere(self, message_id: str) -> list[str]:
        """Return the sids of those who have had this message on the host they came from."""
        return self.handover.elsewhere(message_id) if self.handover else []

    async def resume(self, namespace: str, sid: str, offset: str | None) -> Return | None:
        """Return the return of a client that was here; None if there can be none."""
        await self.let_go(namespace, sid)
        dropped = self.take(namespace, sid)
        if dropped is None:
            return None
        missed = dropped.missed(self.journal, offset)
        return None if missed is None else Return(dropped, offset, missed, self.journal.position)

    def begin(self, back: Return) -> Visit:
        """Return the visit of a client that is connected again; `replayed` is to be sent first."""
        journal, start = self.journal, self.journal.position
        since = journal.since(back.position) or []
        missed = back.missed + back.dropped.concerned(journal, since)
        replayed = [s.renamed(journal.offset(start, number)) for number, s in enumerate(missed)]
        return Visit(start, back.offset, replayed)

    def _expire(self, key: Key) -> None:
        self._dropped.pop(key, None)


def _mac(key: bytes) -> hashlib.blake2b:
    # BLAKE2 with a key of its own: a third of the time of HMAC, at every handshake.
    return hashlib.blake2b(key=hmac.digest(key, b"sidepath.recovery.v1", "sha256"), digest_size=16)


def _pid(mac: hashlib.blake2b, sid: str, owner: str) -> str:
    mac = mac.copy()
    mac.update(f"{sid} {owner}".encode())
    return f"{sid}.{mac.hexdigest()}"


async def _nobody(namespace: str, sid: str) -> None:
    """Let nobody go: there is no server yet."""


def _numbers(tag: str, offset: str | None) -> list[int]:
    """Return the numbers in an offset of the journal with this tag, none of any other."""
    theirs, *numbers = (offset or "").split(".")
    if theirs != tag or len(numbers) not in (1, 2):
        return []
    return [int(n) for n in numbers if n.isdecimal() and n.isascii() and len(n) < 19]
