"""The small app's namespaces: a poll, and a room where one is present."""

from typing import Any

from socket_host.event_error import EventError
from socket_host.namespace import Namespace
from socket_host.presence import Presence
from tests.small_app.store import Votes


class Poll(Namespace):
    """Counts votes, and says the count to everybody."""

    def __init__(self, settings: Any, namespace: str | None = None) -> None:
        super().__init__(settings, namespace)
        self.life: list[str] = []

    async def start(self) -> None:
        self.votes = Votes(self.settings.own["MOST_VOTES"])
        self.life.append("started")

    async def stop(self) -> None:
        self.life.append("stopped")

    async def settle(self) -> None:
        await super().settle()
        self.life.append("settled")

    async def on_vote(self, sid: str, choice: Any) -> dict[str, int]:
        if not isinstance(choice, str):
            raise EventError("A choice is a text.")
        count = self.votes.add(choice)
        await self.emit("count", {choice: count})
        return {"count": count}


class Hall(Namespace):
    """Rooms in which people are present, several at a time."""

    namespace = "/hall"

    async def start(self) -> None:
        self.presence = Presence(self.announce, self.bus, self.namespace)

    async def stop(self) -> None:
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
        self.server.start_background_task(self.emit, "who", who, room=room, ignore_queue=True)


namespaces = [Poll, Hall]
