"""Official clients that drop and reconnect, and their rooms."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from socket_host.app import SocketHost
from socket_host.namespace import Namespace
from tests.kit.clients import Clients, JavaScriptClient
from tests.kit.hosts import token, url

DROP = "socket.io.engine.close()"


BACK = "new Promise((r) => socket.once('connect', () => r(!!socket.recovered)))"


RETURN = f"socket.connect(); return {BACK}"


class Rooms(Namespace):
    """Lets clients enter rooms and save a word, and records how they connect."""

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        self.came: list[tuple[str, str]] = []
        yield

    async def on_connect(self, sid: str, environ: Any, auth: Any) -> None:
        self.came.append(("connect", sid))

    async def on_recover(self, sid: str) -> None:
        self.came.append(("recover", sid))

    async def on_enter(self, sid: str, room: str) -> None:
        await self.enter_room(sid, room)

    async def on_keep(self, sid: str, word: str) -> None:
        await self.save_session(sid, {"word": word})

    async def on_word(self, sid: str) -> Any:
        return (await self.get_session(sid)).get("word")

    async def on_say(self, sid: str, room: str, text: str) -> None:
        await self.emit("said", text, room=room)


class Visitor:
    """An official client that does not reconnect by itself."""

    def __init__(self, client: JavaScriptClient) -> None:
        self.client = client
        self.call = client.call

    async def drop(self) -> None:
        """Close the connection, as in a network failure."""
        await self.client.script(DROP)
        await self.client.receive("disconnect")

    async def back(self) -> bool:
        """Reconnect; return whether the session was recovered."""
        recovered = await self.client.script(RETURN)
        assert isinstance(recovered, bool)
        return recovered

    async def sid(self) -> str:
        return str(await self.client.script("return socket.id"))

    async def received(self, last: str = "end") -> list[str]:
        """Return all texts received up to a last one."""
        heard: list[str] = []
        while not heard or heard[-1] != last:
            heard.append(await self.client.receive("said"))
        return heard


@asynccontextmanager
async def visiting(
    host: SocketHost, people: Clients, name: str = "Ann", **options: Any
) -> AsyncIterator[Visitor]:
    """A visitor in the room `garden`."""
    client = await people.connect(url(host), token(name), reconnection=False, **options)
    visitor = Visitor(client)
    await visitor.call("enter", "garden")
    yield visitor


async def emit(host: SocketHost, *texts: str, room: str | None = "garden", **options: Any) -> None:
    for text in texts:
        await host.namespaces[0].emit("said", text, room=room, **options)
