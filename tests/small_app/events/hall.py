"""A hall with rooms."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from socket_host.namespace import Namespace
from socket_host.presence import Presence


class Hall(Namespace):
    """Rooms in which people are present, several at a time."""

    namespace = "/hall"

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        self.presence = Presence(self.announce, self.bus, self.namespace)
        yield
        self.presence.close()

    async def on_enter(self, sid: str, room: str) -> dict[str, Any]:
        await self.enter_room(sid, room)
        self.presence.enter(sid, room, self.visitor(sid))
        return self.presence.who(room)

    async def on_leave(self, sid: str, room: str) -> list[str]:
        await self.leave_room(sid, room)
        self.presence.leave(sid, room)
        return self.presence.rooms(sid)

    async def on_disconnect(self, sid: str, reason: str) -> None:
        self.presence.leave(sid)

    def announce(self, room: str) -> None:
        who = self.presence.who(room)
        self.emit_soon("who", who, room=room, ignore_queue=True)
