"""Engine.IO by hand, because a client library would hide the individual responses."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from aiohttp import ClientError, ClientWebSocketResponse, WSMsgType, WSServerHandshakeError

from scripts.commands.doctor.answer import Answer
from scripts.commands.doctor.diagnosis import not_a_websocket, not_the_host, websocket_refused
from scripts.commands.doctor.finding import Failure
from scripts.commands.doctor.site import Site

UNKNOWN_SESSION = 400  # a host's status for a session that it does not have

POLLING = "EIO=4&transport=polling"
WEBSOCKET = "/socket.io/?EIO=4&transport=websocket"

# Packets: one digit for Engine.IO, two for Socket.IO.
CLOSE, PONG, CONNECT, CONNECT_ERROR = "1", "3", "40", "44"


@dataclass
class Session:
    """A polling session; it keeps cookies, as a browser does for a load balancer."""

    site: Site
    path: str
    sid: str
    cookies: dict[str, str] = field(default_factory=dict)

    async def post(self, packet: str) -> Answer:
        """Send one packet."""
        target = f"{self.path}?{POLLING}&sid={self.sid}"
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        headers = {"Content-Type": "text/plain;charset=UTF-8"}
        if cookie:
            headers["Cookie"] = cookie
        answer = await self.site.ask(target, "POST", headers, packet)
        self.cookies |= _values(answer)
        return answer


@asynccontextmanager
async def polling(site: Site, path: str) -> AsyncIterator[Session]:
    """A polling session, closed at the end; raise Failure if it is not the host that answers."""
    async with opened_by(site, await site.ask(f"{path}?{POLLING}")) as session:
        yield session


@asynccontextmanager
async def opened_by(site: Site, answer: Answer) -> AsyncIterator[Session]:
    """The session that a response opens, closed at the end; raise Failure if it opens none."""
    sid = opened(answer)
    if sid is None:
        raise not_the_host(answer)
    session = Session(site, answer.path, sid, _values(answer))
    try:
        yield session
    finally:
        with suppress(ClientError, OSError, Failure):
            await session.post(CLOSE)


def opened(answer: Answer) -> str | None:
    """Return the id of the session that a response opens, None if it opens none."""
    if answer.status != 200 or not answer.text.startswith("0{"):
        return None
    # Another packet may follow after a separator.
    return str(_json(answer.text[1:].partition("\x1e")[0]).get("sid", "")) or None


@dataclass(frozen=True)
class Refusal:
    """The host's refusal of a client, in its own words."""

    message: str
    code: str


async def knock(site: Site, *, cookie: str = "", auth: str = "") -> Refusal | None:
    """Connect with a session over a websocket: one connection, so one host.

    Returns None if the host accepts; raises Failure if there is no websocket.
    """
    headers = {"Cookie": f"{site.cookie_name}={cookie}"} if cookie else {}
    async with websocket(site, headers) as connection:
        namespace = "" if site.namespace == "/" else f"{site.namespace},"
        given = json.dumps({"session": auth}) if auth else ""
        await connection.send_str(CONNECT + namespace + given)
        while True:
            packet = await _receive(connection)
            if packet.startswith(CONNECT):
                return None
            if packet.startswith(CONNECT_ERROR):
                return _refusal(packet.removeprefix(CONNECT_ERROR).removeprefix(namespace))


@asynccontextmanager
async def websocket(
    site: Site, headers: Mapping[str, str] | None = None
) -> AsyncIterator[ClientWebSocketResponse]:
    """A websocket with an open session; raise Failure if there is none."""
    try:
        async with site.websocket(WEBSOCKET, headers) as connection:
            if not (await _receive(connection)).startswith("0{"):
                raise not_a_websocket("by a server that opens no session")
            yield connection
    except WSServerHandshakeError as error:
        raise websocket_refused(error.status) from None


async def _receive(connection: ClientWebSocketResponse) -> str:
    message = await connection.receive()
    if message.type is not WSMsgType.TEXT:
        raise not_a_websocket("and closed without a message")
    return str(message.data)


def _values(answer: Answer) -> dict[str, str]:
    return {name: cookie.value for name, cookie in answer.cookies.items()}


def _refusal(text: str) -> Refusal:
    said = _json(text)
    data = said.get("data")
    code = data.get("code", "") if isinstance(data, dict) else ""
    return Refusal(str(said.get("message", "")), str(code))


def _json(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
