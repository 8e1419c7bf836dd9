"""A plaza with rooms, where people post, draft together, and see who is busy."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar

from socket_host.event_error import EventError
from socket_host.handlers import large_answer
from socket_host.limits import fitting
from socket_host.namespace import Namespace
from socket_host.presence import Presence
from tests.small_app.model.posts import BATCH, MAX_ID, MAX_TEXT, Post, Posts

PLAZA = "plaza"  # the room of a client that enters none

T = TypeVar("T")
Ack = dict[str, Any]


class Plaza(Namespace):
    """Uses what a namespace offers: a store, presence, limits, large answers and recovery."""

    volatile = frozenset({"drafted", "busy", "who", "last"})

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        self.posts = await asyncio.to_thread(Posts, self.settings.own["POSTS"])
        self.thread = ThreadPoolExecutor(1)  # a single thread, so that numbers keep their order
        self.turn = asyncio.Lock()
        self.drafts: dict[str, str] = {}  # by room, to be stored at the end
        self.presence = Presence(self.announce, self.bus, self.namespace)
        self.due = asyncio.Event()
        self.bus.peers.subscribe(lost=lambda host: self.due.set())
        self.bus.on_gap(self.due.set)
        self.supervise(self.resync)
        yield
        self.presence.close()
        await self.call(self.posts.keep, self.drafts)
        await asyncio.to_thread(self.thread.shutdown)
        self.posts.close()

    async def on_connect(self, sid: str, environ: Mapping[str, Any], auth: Any) -> None:
        await self.move(sid, PLAZA)

    async def on_recover(self, sid: str) -> None:
        room = next((room for room in self.rooms(sid) if room != sid), PLAZA)
        self.presence.enter(sid, room, self.visitor(sid))
        self.emit_soon("who", self.presence.who(room), room=sid, ignore_queue=True)
        self.emit_soon("drafted", await self.draft(room), room=sid, ignore_queue=True)

    async def on_disconnect(self, sid: str, reason: str) -> None:
        self.presence.leave(sid)

    @large_answer
    async def on_enter(self, sid: str, data: Any) -> Ack:
        match data:
            case {"room": str(room), **rest} if 0 < len(room) <= MAX_ID:
                after = None if rest.get("after") is None else number(rest["after"])
            case _:
                raise EventError("Send {room, after?}.")
        await self.move(sid, room)
        visitor = self.visitor(sid)
        return {
            "room": room,
            "you": {"id": visitor.id, "name": visitor.name},
            "text": await self.draft(room),
            **await self.past(sid, room, after),
            "who": self.presence.who(room),
        }

    @large_answer
    async def on_missed(self, sid: str, data: Any) -> Ack:
        after = number(data.get("after") if isinstance(data, dict) else None)
        return await self.past(sid, self.room(sid), after)

    async def on_message(self, sid: str, data: Any) -> Ack:
        match data:
            case {"id": str(id_), "text": words} if 0 < len(text(id_)) <= MAX_ID and text(words):
                room, visitor = self.room(sid), self.visitor(sid)
            case _:
                raise EventError("Send {id, text}.")
        self.check_room(room)
        self.spend(cost(words))
        post, new = await self.call(self.posts.add, room, id_, visitor.id, visitor.name, words)
        if new:
            self.emit_soon("message", post._asdict(), room=room)
        else:  # the host of the first try may have been killed before it sent the message
            self.remind(room, await self.last(room))
        return {"seq": post.seq, "at": post.at}

    async def on_draft(self, sid: str, words: Any) -> Ack:
        room = self.room(sid)
        if self.drafts.get(room) is None:
            self.spend(cost(text(words)))
        self.drafts[room] = text(words)
        self.emit_latest("drafted", words, room=room, skip_sid=sid)
        return {}

    async def on_busy(self, sid: str, busy: Any) -> Ack:
        if not isinstance(busy, bool):
            raise EventError("Send true or false.")
        visitor = self.visitor(sid)
        news = {"id": visitor.id, "name": visitor.name, "busy": busy}
        self.emit_latest("busy", news, room=self.room(sid), key=visitor.id, skip_sid=sid)
        return {}

    def audience(self, room: Any, here: int) -> int:
        return max(here, self.presence.count(room)) if isinstance(room, str) else here

    def room(self, sid: str) -> str:
        return next(iter(self.presence.rooms(sid)), PLAZA)

    async def move(self, sid: str, room: str) -> None:
        for former in self.presence.rooms(sid):
            if former != room:
                await self.leave_room(sid, former)
                self.presence.leave(sid, former)
        await self.enter_room(sid, room)
        self.presence.enter(sid, room, self.visitor(sid))

    async def past(self, sid: str, room: str, after: int | None) -> Ack:
        if not self.is_here(sid):
            raise EventError("The client has gone.", reason="gone")
        if after is None:
            latest = await self.call(self.posts.latest, room)
            messages = fitting([post._asdict() for post in reversed(latest)])[::-1]
            return answer(messages, 0, more=False)
        found = await self.call(self.posts.after, room, after, BATCH + 1)
        messages = fitting([post._asdict() for post in found[:BATCH]])
        return answer(messages, after, more=len(messages) < len(found))

    async def draft(self, room: str) -> str:
        unstored = self.drafts.get(room)
        return await self.call(self.posts.draft, room) if unstored is None else unstored

    async def last(self, room: str) -> int:
        latest: list[Post] = await self.call(self.posts.latest, room, 1)
        return latest[0].seq if latest else 0

    async def call(self, call: Callable[..., T], *values: Any) -> T:
        loop = asyncio.get_running_loop()
        try:
            async with self.turn:  # so that no answers accumulate in memory
                return await loop.run_in_executor(self.thread, partial(call, *values))
        except sqlite3.Error:
            raise EventError("The posts cannot be reached.", reason="store", retry=True) from None

    def announce(self, room: str) -> None:
        self.emit_soon("who", self.presence.who(room), room=room, ignore_queue=True)

    async def resync(self) -> None:
        """Send each room its last number after a host or messages were lost."""
        while True:
            await self.due.wait()
            self.due.clear()
            try:
                for room in list(self.presence.rooms()):
                    self.remind(room, await self.last(room), ignore_queue=True)
            except EventError:
                self.due.set()
            await asyncio.sleep(1)

    def remind(self, room: str, seq: int, *, ignore_queue: bool = False) -> None:
        news = {"room": room, "seq": seq}
        self.emit_latest("last", news, room=room, key=ignore_queue, ignore_queue=ignore_queue)


def text(data: Any) -> str:
    """Return a text of bounded length that can be encoded; raise EventError."""
    try:
        if isinstance(data, str) and len(data) <= MAX_TEXT:
            data.encode()
            return data
    except UnicodeEncodeError:
        pass
    raise EventError(f"Send a text of up to {MAX_TEXT} characters.")


def number(data: Any) -> int:
    """Return the number of a post; raise EventError."""
    if isinstance(data, int) and not isinstance(data, bool) and 0 <= data < 2**53:
        return data
    raise EventError("`after` must be the number of the last post seen.")


def cost(words: str) -> int:
    """Return the cost of storing a text."""
    return 100 * (len(words.encode()) + 100)


def answer(messages: list[Ack], after: int, *, more: bool) -> Ack:
    """Return posts as an answer."""
    return {"messages": messages, "last": messages[-1]["seq"] if messages else after, "more": more}
