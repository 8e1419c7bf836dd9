"""The replay: sends a client the events it missed, in pieces, as fast as it reads them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from typing import TYPE_CHECKING

from socket_host.transport.native.reasons import TRANSPORT_ERROR
from socket_host.transport.native.rooms import Stage

if TYPE_CHECKING:
    from socket_host.transport.native.message import Message
    from socket_host.transport.native.recovery import ReplayPoint
    from socket_host.transport.native.replay_buffer import ReplayBuffer
    from socket_host.transport.native.rooms import Member

_log = logging.getLogger(__name__)

_PIECE = 32_768  # bytes to write, or to return to a poll, at once
_ENTRIES = 1_000  # of the replay buffer that are searched for one piece
_SECONDS = 0.005  # for all replays, in one iteration of the event loop


class Replays:
    """The replays of a host that can go on; limits their time in each iteration of the loop."""

    def __init__(self) -> None:
        self._ready: deque[Replay] = deque()
        self._runs = False

    def add(self, replay: Replay) -> None:
        """Queue a replay."""
        self._ready.append(replay)
        if not self._runs:
            self._runs = True
            asyncio.get_running_loop().call_soon(self._run)

    def _run(self) -> None:
        end = time.perf_counter() + _SECONDS
        for _ in range(len(self._ready)):
            replay = self._ready.popleft()
            try:
                replay.proceed()
            except Exception:  # must not stop the other replays
                _log.exception("A replay of missed events failed; its client was disconnected.")
                replay.give_up()
            if time.perf_counter() > end:
                break
        self._runs = bool(self._ready)
        if self._runs:
            asyncio.get_running_loop().call_soon(self._run)


class _EvictedError(Exception):
    """The next event is no longer in the replay buffer."""


class Replay:
    """Sends a member the events it missed: those from another host, then the replay buffer's.

    While it runs, new events are not sent directly, since they are in the replay buffer. Messages
    that are not in the buffer are held by the member, and sent in order. `pid` is the one that the
    member resumed with. `first` is sent before everything else.
    """

    __slots__ = (
        "_left",
        "_member",
        "_position",
        "_replay_buffer",
        "_replay_point",
        "_replays",
        "_scheduled",
        "_sent_nothing",
        "first",
        "pid",
    )

    def __init__(
        self,
        replays: Replays,
        member: Member,
        replay_buffer: ReplayBuffer,
        replay_point: ReplayPoint,
        pid: str = "",
    ) -> None:
        self._replays = replays
        self.pid = pid
        self.first: Message | None = None
        self._member = member
        self._replay_buffer = replay_buffer
        self._replay_point = replay_point
        self._left = len(replay_point.replayed)
        self._position = replay_point.start
        self._sent_nothing = not replay_point.replayed
        self._scheduled = False

    def proceed_soon(self) -> None:
        """Proceed in an iteration of the event loop that has time for it."""
        if not self._scheduled:
            self._scheduled = True
            self._replays.add(self)

    def proceed(self) -> None:
        """Send a piece if the client can be written to, and schedule the next."""
        self._scheduled = False
        client = self._member.client
        if not self.running:
            return
        if client.socket is None:
            client.wake()  # its poll fetches a piece
            return
        if client.engine.batch.pending:
            client.engine.batch.flush()  # which came before the piece
        if client.write is not None and (piece := self.piece()):
            client.write(b"".join([message.frames for message in piece]))
        if client.write is not None and self.running:
            self.proceed_soon()

    @property
    def running(self) -> bool:
        """Whether there is more to send to the member."""
        member = self._member
        connected = member.stage is Stage.CONNECTED and not member.client.closing
        return connected and member.replay is self

    def piece(self) -> list[Message]:
        """Return the next messages, possibly none; end the replay after the last one."""
        messages: list[Message] = []
        size = 0
        try:
            if self.first is not None and self.running:
                messages, self.first = [self.first], None
            for _ in range(_ENTRIES if self.running else 0):
                if self._is_done():
                    self._end()
                    break
                message = self._next()
                if message is not None:
                    messages.append(message)
                    size += len(message.frames)
                    if size >= _PIECE:
                        break
        except _EvictedError:
            if not messages:  # otherwise the next call raises again
                self.give_up()
        return messages

    def give_up(self) -> None:
        """Close the connection, so that the client reconnects with a new session."""
        client = self._member.client
        client.engine.note("unfinished replays", "the missed events are no longer available")
        client.engine.close(client, TRANSPORT_ERROR)

    def _is_done(self) -> bool:
        return self._position == self._replay_buffer.position and not (
            self._left or self._member.held
        )

    def _end(self) -> None:
        if self._sent_nothing:
            self._replay_point.attempts = 0
        self._member.replay = None
        self._member.release()

    def _skip(self) -> bool:
        """Skip entries that are not for the member; return whether there were any."""
        member, before = self._member, self._position
        # A held message belongs after the entry at its position.
        most = min(_ENTRIES, member.held[0][0] - before) if member.held else _ENTRIES
        self._position = self._replay_buffer.skip(
            before, member.namespace.name, member.sid, member.rooms or {}, most
        )
        if self._sent_nothing:
            self._replay_point.start = self._position
        return self._position > before

    def _next(self) -> Message | None:
        """Return the next message; None if the next entry is not for the member."""
        member, replay_point = self._member, self._replay_point
        if self._left:
            self._left -= 1
            sent = replay_point.replayed[-1 - self._left]
            return sent.renamed(self._replay_buffer.offset(replay_point.start, self._left))
        if member.held and member.held[0][0] <= self._position:
            return member.unhold()
        if self._skip():
            return None
        entry = self._replay_buffer.entry(self._position + 1)
        if entry is None:
            raise _EvictedError
        concerns = entry.concerns(member.namespace.name, member.sid, member.rooms or {})
        if concerns and entry.message is None:
            raise _EvictedError
        self._position = entry.position
        if concerns:
            self._sent_nothing = False
            return entry.message
        if self._sent_nothing:
            replay_point.start = self._position
        return None
