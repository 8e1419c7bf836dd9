"""Conversations: a real client that connects as a page would, and gets acks.

It sends an event that no site has, because a host acks that too. Doctor does not know a site's own
events, so it sends one of them only if the arguments name it (`Speech`).
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

# Seconds for a client to disconnect: the stock transport does not end a pending poll.
GOODBYE = 1.0

RECEIVERS = 4  # with two hosts, they are hardly ever all on the sender's


class Client:
    """python-socketio's client, which notes when an event arrives."""

    def __init__(self, sio: socketio.AsyncClient, site: Site) -> None:
        self.sio = sio
        self._patience = _patience(site)
        self._namespace = site.namespace
        self.received = asyncio.Event()
        sio.on(site.broadcast.received if site.broadcast else "", self._receive, site.namespace)

    def _receive(self, *values: Any) -> None:
        self.received.set()

    async def call(self, event: str, value: Any) -> Any:
        """Send an event and return its ack; raise Failure if none comes."""
        try:
            return await self.sio.call(event, value, self._namespace, self._patience)
        except (socketio.exceptions.SocketIOError, TimeoutError):
            raise Failure(
                f"The event {event} got no ack within {self._patience:g} s.",
                why="What visitors do may be lost, and they do not know whether it arrived.",
                do="See the host's log. If this is an event of yours, see its handler in "
                "socket_host/events.",
            ) from None


@asynccontextmanager
async def connected(site: Site, *transports: str) -> AsyncIterator[Client]:
    """A client with the page's session and the site's own origin."""
    jar = CookieJar(unsafe=True, quote_cookie=False)  # unsafe: also for IP addresses
    jar.update_cookies({site.cookie_name: site.token}, URL(site.address.origin))
    async with site.client(jar) as http:
        sio = socketio.AsyncClient(http_session=http, reconnection=False, handle_sigint=False)
        client = Client(sio, site)
        try:
            await sio.connect(
                site.address.origin,
                {"Origin": site.address.origin},
                transports=transports,
                namespaces=[site.namespace],
                wait_timeout=_patience(site),
            )
            yield client
        except socketio.exceptions.ConnectionError as error:
            raise Failure(
                f"A client could not connect by {' and '.join(transports)}: {error}.",
                why="Visitors whose network allows nothing else cannot connect.",
                do="See the host's log, and what the edge does with requests for /socket.io/.",
            ) from None
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(GOODBYE):
                    await sio.shutdown()


async def by_polling(site: Site) -> str:
    """A client that can only poll connects, and its events are acked."""
    return await _converse(site, "polling")


async def by_websocket(site: Site) -> str:
    """A client that starts with a websocket connects, and its events are acked."""
    return await _converse(site, "websocket")


async def by_upgrade(site: Site) -> str:
    """A client that starts polling upgrades to a websocket, and its events are acked there."""
    return await _converse(site, "polling", "websocket")


async def _converse(site: Site, *transports: str) -> str:
    started = monotonic()
    async with connected(site, *transports) as client:
        if client.sio.transport() != transports[-1]:
            raise Failure(
                "A client that started with polling did not upgrade to a websocket.",
                why="No client gets a websocket: events are slower, and there are many more "
                "requests.",
                do="The websocket must reach the host with the polling session: see the check of "
                "stickiness, and the host's log.",
            )
        took = round((monotonic() - started) * 1000)
        await client.call(_unknown_event(), None)
    return f"Connected in {took} ms; the host acks events."


async def broadcast(site: Site) -> str:
    """An event that one client sends reaches all others, whichever host they are on."""
    event = site.broadcast
    if event is None:
        raise Skip(
            "Name an event of yours that others receive: --event NAME, with --value JSON for its "
            "argument, and --received NAME if they receive it under another name."
        )
    async with AsyncExitStack() as stack:
        sender, *others = [
            await stack.enter_async_context(connected(site, "websocket"))
            for _ in range(1 + RECEIVERS)
        ]
        _check_accepted(event.name, await sender.call(event.name, event.value))
        waiting = [asyncio.create_task(other.received.wait()) for other in others]
        _, missing = await asyncio.wait(waiting, timeout=_patience(site))
        for task in missing:
            task.cancel()
    if missing:
        raise Failure(
            f"{len(missing)} of {RECEIVERS} clients did not receive {event.received}.",
            why="Visitors do not see what others do.",
            do="If there are several hosts, the bus between them does not work: see the hosts' "
            f"/health and log. With one host, see the handler of {event.name} in "
            "socket_host/events.",
        )
    return f"All {RECEIVERS} other clients received the event."


def _patience(site: Site) -> float:
    """Return the timeout of an ack or event in seconds: less than that of a whole check."""
    return site.patience / 2


def _unknown_event() -> str:
    return f"doctor-{secrets.token_hex(8)}"


def _check_accepted(event: str, ack: Any) -> None:
    if isinstance(ack, dict) and "error" in ack:
        raise Failure(
            f"The event {event} was refused: {str(ack['error'])[:200]}",
            why="Nobody receives an event that is refused.",
            do="Use for --event and --value what a client of yours would send.",
        )
