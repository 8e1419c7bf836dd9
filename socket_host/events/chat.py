"""The chat's events: one method each.

`on_input_change(self, sid, text)` answers `socket.emit("input-change", text)`. What it returns goes
back to that client as the ack; an EventError it raises becomes the ack's `error`.
"""

import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from functions.contract.setting import StartError
from functions.model.payloads import LOBBY
from functions.model.room_log import BATCH, RoomLogError
from socket_host.event_error import EventError
from socket_host.events.payloads import Join, Message, Seen, check_text
from socket_host.events.resync import Resync
from socket_host.events.room_log import HostRoomLog
from socket_host.limits import fitting
from socket_host.namespace import Namespace, large_answer
from socket_host.presence import Presence

Ack = dict[str, Any]

STORED = 100  # times what is stored for long costs what is sent once
_ROW = 100  # bytes stored with each text


class Chat(Namespace):
    """Rooms where visitors write to each other: what the page's room.js speaks."""

    volatile = frozenset({"update-input", "typing", "who", "last"})

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Open the room log, and close it."""
        self.log = HostRoomLog(self.settings.own["ROOM_LOG"])
        try:
            await self.log.start()
        except RoomLogError as error:
            raise StartError(str(error)) from error
        self.presence = Presence(self.announce, self.bus)
        remind = partial(self.remind, ignore_queue=True)  # each host reminds its own
        resync = Resync(self.bus, self.presence.rooms, self.log.last, remind)
        self.supervise(resync.resync_rooms)
        yield
        self.presence.close()
        await self.log.stop()

    async def on_connect(self, sid: str, environ: Mapping[str, Any], auth: Any) -> None:
        """Start in the lobby, so that a client of three lines is somewhere."""
        await self.move(sid, LOBBY)

    async def on_recover(self, sid: str) -> None:
        """Be back in the room where the connection dropped."""
        room = next((room for room in self.rooms(sid) if room != sid), LOBBY)
        self.presence.enter(sid, room, self.visitor(sid))
        # Nobody else may need to know, if the visitor has another tab open there.
        self.emit_soon("who", self.presence.who(room), room=sid, ignore_queue=True)
        with contextlib.suppress(EventError):  # else the next change of the text says it
            text = await self.log.text(room)
            self.emit_soon("update-input", text, room=sid, ignore_queue=True)

    async def on_disconnect(self, sid: str, reason: str) -> None:
        """Be gone from the room."""
        self.presence.leave(sid)

    @large_answer
    async def on_join(self, sid: str, join: Join) -> Ack:
        """Move to a room, and answer with how it stands there."""
        room = join.room
        await self.move(sid, room)  # first: what is stored while we read is heard live
        visitor = self.visitor(sid)
        return {
            "room": room,
            "you": {"id": visitor.id, "name": visitor.name},
            "text": await self.log.text(room),
            **await self.history(sid, room, join.after),
            "who": self.presence.who(room),
        }

    @large_answer
    async def on_history(self, sid: str, seen: Seen) -> Ack:
        """Answer with the messages of the client's room that came after one."""
        return await self.history(sid, self.room(sid), seen.after)

    async def on_input_change(self, sid: str, text: str) -> Ack:
        """Show everyone else in the room what is being typed into its shared text."""
        check_text(text)
        room = self.room(sid)
        if self.log.keep_text(room, text):
            self.spend(_stored(text))
        self.emit_latest("update-input", text, room=room, skip_sid=sid)
        return {}

    async def on_message(self, sid: str, message: Message) -> Ack:
        """Store a message, then send it to the whole room; said again it is not stored again."""
        room, visitor = self.room(sid), self.visitor(sid)
        self.check_room(room)
        self.spend(_stored(message.text))
        stored = await self.log.append(
            room, id=message.id, author=visitor.id, name=visitor.name, text=message.text
        )
        if stored.new:
            self.emit_soon("message", stored.message.to_json(), room=room)  # after the ack
        else:  # the host of the first try may have been killed before it told anybody
            self.remind(room, await self.log.last(room))
        return {"seq": stored.message.seq, "at": stored.message.at}

    async def on_typing(self, sid: str, typing: bool) -> Ack:
        """Show everyone else in the room that somebody is typing, or has stopped."""
        visitor = self.visitor(sid)
        news = {"id": visitor.id, "name": visitor.name, "typing": typing}
        self.emit_latest("typing", news, room=self.room(sid), key=visitor.id, skip_sid=sid)
        return {}

    def audience(self, room: Any, here: int) -> int:
        """Return how many a room has on all hosts."""
        return max(here, self.presence.count(room)) if isinstance(room, str) else here

    # What several of them need.

    def room(self, sid: str) -> str:
        """Return the room a client is in."""
        return next(iter(self.presence.rooms(sid)), LOBBY)

    async def move(self, sid: str, room: str) -> None:
        """Take a client out of its room, if it is in one, and into another."""
        for former in self.presence.rooms(sid):
            await self.leave_room(sid, former)
        await self.enter_room(sid, room)
        for former in self.presence.rooms(sid):
            if former != room:
                self.presence.leave(sid, former)
        self.presence.enter(sid, room, self.visitor(sid))

    async def history(self, sid: str, room: str, after: int | None) -> Ack:
        """Return the room's messages after one, or its latest: as many as fit into an answer."""
        wanted = partial(self.is_here, sid)
        if after is None:
            latest = await self.log.latest(room, wanted)
            messages, more = fitting([m.to_json() for m in reversed(latest)])[::-1], False
        else:
            found = await self.log.after(room, after, BATCH + 1, wanted)
            messages = fitting([m.to_json() for m in found[:BATCH]])
            more = len(messages) < len(found)
        last = messages[-1]["seq"] if messages else after or 0
        return {"messages": messages, "last": last, "more": more}

    def announce(self, room: str) -> None:
        """Tell those of a room who are on this host who is there; each host tells its own."""
        self.emit_soon("who", self.presence.who(room), room=room, ignore_queue=True)

    def remind(self, room: str, seq: int, *, ignore_queue: bool = False) -> None:
        """Tell a room that there is a message with this number, for who may have missed it."""
        news = {"room": room, "seq": seq}
        self.emit_latest("last", news, room=room, key=ignore_queue, ignore_queue=ignore_queue)


def _stored(text: str) -> int:
    """Return what it costs to store a text."""
    return STORED * (len(text.encode()) + _ROW)
