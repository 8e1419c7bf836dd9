"""The hall: who is here, and news from pages."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from socket_host.event_error import EventError
from socket_host.namespace import Namespace
from socket_host.presence import Presence


class Hall(Namespace):
    """Shows everybody in a room who else is there."""

    namespace = "/hall"
    volatile = frozenset({"who"})

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Keep track of who is where."""
        self.presence = Presence(self.announce, self.bus, self.namespace)
        yield
        self.presence.close()

    async def on_enter(self, sid: str, room: Any) -> Any:
        """Enter a room, and return who is there."""
        if not isinstance(room, str) or len(room) > 64:
            raise EventError("A room's name is a string of up to 64 characters.")
        if len(self.presence.rooms(sid)) >= 10:
            raise EventError("You are in ten rooms already.")
        await self.enter_room(sid, room)
        self.presence.enter(sid, room, self.visitor(sid))
        return self.presence.who(room)

    async def on_recover(self, sid: str) -> None:
        """Return to the client's rooms after a drop."""
        for room in self.rooms(sid):
            if room != sid:
                self.presence.enter(sid, room, self.visitor(sid))

    async def on_disconnect(self, sid: str, reason: str) -> None:
        """Be gone."""
        self.presence.leave(sid)

    def announce(self, room: str) -> None:
        """Send this host's clients in a room the list of people; each host sends it to its own."""
        who = self.presence.who(room)
        self.emit_soon("who", who, room=room, ignore_queue=True)
