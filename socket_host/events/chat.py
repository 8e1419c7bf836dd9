"""The chat's events: one method each.

`on_input_change(self, sid, text)` handles `socket.emit("input-change", text)`. Its return value is
the ack to that client; an EventError becomes the ack's `error`.
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

STORED = 100  # how much more a stored byte costs than one that is only sent
_ROW = 100  # bytes stored in addition to each text


class Chat(Namespace):
    """Rooms in which visitors chat; the client is room.js."""

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
        remind = partial(self.remind, ignore_queue=True)  # only this host's clients
        resync = Resync(self.bus, self.presence.rooms, self.log.last, remind)
        self.supervise(resync.resync_rooms)
        yield
        self.presence.close()
        await self.log.stop()

    async def on_connect(self, sid: str, environ: Mapping[str, Any], auth: Any) -> None:
        """Put the client into the lobby, so that the simplest client need not join a room."""
        await self.move(sid, LOBBY)

    async def on_recover(self, sid: str) -> None:
        """Return the client to the room that it was in."""
        room = next((room for room in self.rooms(sid) if room != sid), LOBBY)
        self.presence.enter(sid, room, self.visitor(sid))
        # If the visitor has another tab in the room, the others are not sent a `who`.
        self.emit_soon("who", self.presence.who(room), room=sid, ignore_queue=True)
        with contextlib.suppress(EventError):  # the client gets the next change of the text anyway
            text = await self.log.text(room)
            self.emit_soon("update-input", text, room=sid, ignore_queue=True)

    async def on_disconnect(self, sid: str, reason: str) -> None:
        """Remove the client from its room."""
        self.presence.leave(sid)

    @large_answer
    async def on_join(self, sid: str, join: Join) -> Ack:
        """Move the client to a room, and return the room's state."""
        room = join.room
        await self.move(sid, room)  # first, so that messages stored meanwhile arrive as events
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
        """Return the messages in the client's room after a given one."""
        return await self.history(sid, self.room(sid), seen.after)

    async def on_input_change(self, sid: str, text: str) -> Ack:
        """Store the room's shared note, and show it to everyone else in the room."""
        check_text(text)
        room = self.room(sid)
        if self.log.keep_text(room, text):
            self.spend(_stored(text))
        self.emit_latest("update-input", text, room=room, skip_sid=sid)
        return {}

    async def on_message(self, sid: str, message: Message) -> Ack:
        """Store a message, then send it to the whole room; a retry is not stored again."""
        room, visitor = self.room(sid), self.visitor(sid)
        self.check_room(room)
        self.spend(_stored(message.text))
        stored = await self.log.append(
            room, id=message.id, author=visitor.id, name=visitor.name, text=message.text
        )
        if stored.new:
            self.emit_soon("message", stored.message.to_json(), room=room)  # after the ack
        else:  # the host of the first try may have been killed before it sent the message
            self.remind(room, await self.log.last(room))
        return {"seq": stored.message.seq, "at": stored.message.at}

    async def on_typing(self, sid: str, typing: bool) -> Ack:
        """Show everyone else in the room that the visitor is typing, or has stopped."""
        visitor = self.visitor(sid)
        news = {"id": visitor.id, "name": visitor.name, "typing": typing}
        self.emit_latest("typing", news, room=self.room(sid), key=visitor.id, skip_sid=sid)
        return {}

    def audience(self, room: Any, here: int) -> int:
        """Return the number of recipients of an event in a room, on all hosts."""
        return max(here, self.presence.count(room)) if isinstance(room, str) else here

    # Shared by the handlers above.

    def room(self, sid: str) -> str:
        """Return the room that a client is in."""
        return next(iter(self.presence.rooms(sid)), LOBBY)

    async def move(self, sid: str, room: str) -> None:
        """Move a client from its room, if any, to another."""
        for former in self.presence.rooms(sid):
            await self.leave_room(sid, former)
        await self.enter_room(sid, room)
        for former in self.presence.rooms(sid):
            if former != room:
                self.presence.leave(sid, former)
        self.presence.enter(sid, room, self.visitor(sid))

    async def history(self, sid: str, room: str, after: int | None) -> Ack:
        """Return the messages after a given one, or the latest, as many as fit into an answer."""
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
        """Send this host's clients in a room the list of people there."""
        self.emit_soon("who", self.presence.who(room), room=room, ignore_queue=True)

    def remind(self, room: str, seq: int, *, ignore_queue: bool = False) -> None:
        """Send a room the number of its last message, so that clients notice if they lack it."""
        news = {"room": room, "seq": seq}
        self.emit_latest("last", news, room=room, key=ignore_queue, ignore_queue=ignore_queue)


def _stored(text: str) -> int:
    """Return the cost of storing a text."""
    return STORED * (len(text.encode()) + _ROW)
