"""Conversations: a real client that connects as a page would, and is answered.

It speaks in a room of its own, in events that are kept nowhere: `join`, `history` and `typing`. A
`message` would stay in the room log for ever.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from time import monotonic
from typing import Any

import socketio  # type: ignore[import-untyped]  # python-socketio ships no types
from aiohttp import CookieJar
from yarl import URL

from scripts.commands.doctor.finding import Failure, Skip
from scripts.commands.doctor.site import Site

# Seconds for a client to leave: the stock transport does not release a poll that is under way.
GOODBYE = 1.0

LISTENERS = 4  # with two hosts, hardly ever all on the one the speaker is on


class Client:
    """python-socketio's client, in a room that nobody else is in."""

    def __init__(self, sio: socketio.AsyncClient, patience: float) -> None:
        self.sio = sio
        self._patience = patience
        self.heard = asyncio.Event()
        sio.on("typing", self._hear)

    def _hear(self, *news: Any) -> None:
        self.heard.set()

    async def say(self, event: str, value: Any) -> Any:
        """Send an event and return its ack; raise Failure if none comes."""
        try:
            return await self.sio.call(event, value, timeout=self._patience)
        except (socketio.exceptions.SocketIOError, TimeoutError):
            raise Failure(
                f"The event {event} got no ack within {self._patience:g} s.",
                why="What visitors do is lost, or they wait without knowing.",
                do="See the host's log, and the method that answers this event in "
                "socket_host/events.",
            ) from None


@asynccontextmanager
async def connected(site: Site, *transports: str) -> AsyncIterator[Client]:
    """A client that has the page's session and comes from the site's own origin."""
    jar = CookieJar(unsafe=True, quote_cookie=False)  # unsafe: for an address in numbers too
    jar.update_cookies({site.cookie_name: site.token}, URL(site.address.origin))
    async with site.client(jar) as http:
        sio = socketio.AsyncClient(http_session=http, reconnection=False, handle_sigint=False)
        client = Client(sio, _patience(site))
        try:
            await sio.connect(
                site.address.origin,
                {"Origin": site.address.origin},
                transports=transports,
                wait_timeout=_patience(site),
            )
            yield client
        except socketio.exceptions.ConnectionError as error:
            raise Failure(
                f"A client could not connect by {' and '.join(transports)}: {error}.",
                why="Visitors whose network leaves them only this stay outside.",
                do="See the host's log, and what the edge does to the requests of /socket.io/.",
            ) from None
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(GOODBYE):
                    await sio.shutdown()


async def by_polling(site: Site) -> str:
    """A client that can only poll joins a room and has its events acked."""
    return await _converse(site, "polling")


async def by_websocket(site: Site) -> str:
    """A client that begins with a websocket joins a room and has its events acked."""
    return await _converse(site, "websocket")


async def by_upgrade(site: Site) -> str:
    """A client that begins by polling and goes over to a websocket has its events acked there."""
    return await _converse(site, "polling", "websocket")


async def _converse(site: Site, *transports: str) -> str:
    begun = monotonic()
    async with connected(site, *transports) as client:
        if client.sio.transport() != transports[-1]:
            raise Failure(
                "A client that began by polling stays there: the upgrade was not carried through.",
                why="Every client does without its websocket: slower, and many times the requests.",
                do="The websocket has to reach the host that has the polling session: see "
                "stickiness, and the host's log.",
            )
        took = round((monotonic() - begun) * 1000)
        await client.say("join", {"room": _room()})
        await client.say("history", {"after": 0})
    return f"Connected in {took} ms; join and history were acked."


async def others_hear(site: Site) -> str:
    """What one client does in a room, all others in it hear, whichever host they are on."""
    room = {"room": _room()}
    async with AsyncExitStack() as stack:
        speaker, *others = [
            await stack.enter_async_context(connected(site, "websocket"))
            for _ in range(1 + LISTENERS)
        ]
        for client in (speaker, *others):
            _check_known(await client.say("join", room))
        _check_known(await speaker.say("typing", True))
        waiting = [asyncio.create_task(other.heard.wait()) for other in others]
        _, deaf = await asyncio.wait(waiting, timeout=_patience(site))
        for task in deaf:
            task.cancel()
    if deaf:
        raise Failure(
            f"Of {LISTENERS} clients in the speaker's room {len(deaf)} heard nothing.",
            why="People in the same room do not see each other.",
            do="If there are several hosts, the bus between them does not work: see the hosts' "
            "/health and log. With one host, see on_typing in socket_host/events.",
        )
    return f"All {LISTENERS} others in a room heard what one did."


def _patience(site: Site) -> float:
    """Return how many seconds an ack or event may take: less than a whole check."""
    return site.patience / 2


def _room() -> str:
    return f"doctor-{secrets.token_hex(8)}"


def _check_known(ack: Any) -> None:
    if isinstance(ack, dict) and "error" in ack:
        raise Skip("The site's events are others than the example's: join and typing are refused.")
