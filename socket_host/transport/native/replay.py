"""The replay: what a client has missed, sent to it in pieces, as fast as it reads."""

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

_PIECE = 32_768  # bytes: what is written, or polled, at once
_ENTRIES = 1_000  # of the replay buffer, that are looked at for it
_SECONDS = 0.005  # of a turn of the event loop


class Replays:
    """All replays of a host that can go on: together they take no more than a part of a turn."""

    def __init__(self) -> None:
        self._ready: deque[Replay] = deque()
        self._runs = False

    def add(self, replay: Replay) -> None:
        """Let a replay have its turn soon."""
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
            except Exception:  # the others go on
                _log.exception("A client could not be sent what it missed.")
                replay.give_up()
            if time.perf_counter() > end:
                break
        self._runs = bool(self._ready)
        if self._runs:
            asyncio.get_running_loop().call_soon(self._run)


class _ForgottenError(Exception):
    """What is to be sent next is not known any more."""


class Replay:
    """Sends a member what it missed: first what another host sends along, then the replay buffer.

    While it runs, new events are not sent to the member: the replay buffer has them. What is not in
    the buffer is held, and sent in its place. `pid` is the one the member resumed with; `first` is
    sent before all else.
    """

    __slots__ = (
        "_left",
        "_member",
        "_nothing",
        "_position",
        "_replay_buffer",
        "_replay_point",
        "_replays",
        "_soon",
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
        self._nothing = not replay_point.replayed  # was for the member so far
        self._soon = False

    def proceed_soon(self) -> None:
        """Proceed when it is this replay's turn."""
        if not self._soon:
            self._soon = True
            self._replays.add(self)

    def proceed(self) -> None:
        """Send a piece to a client that takes it, and go on."""
        self._soon = False
        client = self._member.client
        if not self.running:
            return
        if client.socket is None:
            client.wake()  # a polling client fetches its pieces
            return
        if client.engine.batch.pending:
            client.engine.batch.flush()  # that came before
        if client.write is not None and (piece := self.piece()):
            client.write(b"".join([message.frames for message in piece]))
        if client.write is not None and self.running:
            self.proceed_soon()

    @property
    def running(self) -> bool:
        """True while the member is to be sent more."""
        member = self._member
        connected = member.stage is Stage.CONNECTED and not member.client.closing
        return connected and member.replay is self

    def piece(self) -> list[Message]:
        """Return the next messages, and end with the last of them; it may be that none is ready."""
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
        except _ForgottenError:
            if not messages:  # else the next call comes to it again
                self.give_up()
        return messages

    def give_up(self) -> None:
        """End the connection; when the client is back it begins anew."""
        client = self._member.client
        client.engine.note("unfinished replays", "what it missed is no longer known")
        client.engine.close(client, TRANSPORT_ERROR)

    def _is_done(self) -> bool:
        return self._position == self._replay_buffer.position and not (
            self._left or self._member.held
        )

    def _end(self) -> None:
        if self._nothing:
            self._replay_point.attempts = 0
        self._member.replay = None
        self._member.release()

    def _next(self) -> Message | None:
        """Return the next message; None if what came next is not for the member."""
        member, replay_point = self._member, self._replay_point
        if self._left:
            self._left -= 1
            sent = replay_point.replayed[-1 - self._left]
            return sent.renamed(self._replay_buffer.offset(replay_point.start, self._left))
        if member.held and member.held[0][0] <= self._position:
            return member.unhold()
        entry = self._replay_buffer.entry(self._position + 1)
        if entry is None:
            raise _ForgottenError
        concerns = entry.concerns(member.namespace.name, member.sid, member.rooms or {})
        if concerns and entry.message is None:
            raise _ForgottenError
        self._position = entry.position
        if concerns:
            self._nothing = False
            return entry.message
        if self._nothing:
            replay_point.start = self._position
        return None
