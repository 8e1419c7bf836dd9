"""The loopback: where functions on the host's own machine post messages for its clients.

In the cloud they publish to the bus; on one machine there may be none.
"""

import hmac
import ipaddress
from collections.abc import Mapping
from typing import Any

import socketio  # type: ignore[import-untyped]  # python-socketio ships no types
from aiohttp import web

from functions.contract.bus import (
    ANNOUNCEMENT,
    APP,
    MAX_BYTES,
    SESSION_END,
    BusMessageError,
    loopback_token,
)
from socket_host.bus.bus import Bus, log_received
from socket_host.bus.schema import fault, parse


class Loopback:
    """Emits what functions post, if they are on this machine and know one of the secrets."""

    def __init__(self, sio: socketio.AsyncServer, *secrets: str) -> None:
        self._sio = sio
        self._authorized = [f"Bearer {loopback_token(secret)}".encode() for secret in secrets]

    async def emit(self, request: web.Request) -> web.Response:
        """Answer a request: emit to the clients of this host and of others on its bus."""
        # aiohttp decodes bytes that are not UTF-8 as surrogates.
        authorization = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        if not _is_loopback(request) or not self._is_authorized(authorization):
            return web.Response(status=403, text="Only this host's functions may emit here.\n")
        if request.content_length is None or request.content_length > MAX_BYTES:
            return web.Response(status=413, text=f"A message may have at most {MAX_BYTES} bytes.\n")
        if "Content-Encoding" in request.headers:
            return web.Response(status=415, text="Send the message uncompressed.\n")
        message = _load(await request.read())
        if message is None:
            return web.Response(status=400, text="This is not a valid message for the bus.\n")
        try:
            await self._act(message)
        except BusMessageError as error:
            return web.Response(status=413, text=f"{error}\n")
        return web.Response(status=204)

    async def _act(self, message: Mapping[str, Any]) -> None:
        log_received(
            message.get("message_id") or "-", message.get("event") or message.get("subject")
        )
        if message["method"] == ANNOUNCEMENT:
            bus: Bus = self._sio.manager.bus
            bus.announce_to_all(message["subject"], message["body"])
            return
        data = message["data"]
        await self._sio.emit(
            message["event"],
            data[0] if len(data) == 1 else tuple(data),
            room=message.get("room"),
            namespace=message["namespace"],
        )

    def _is_authorized(self, authorization: bytes) -> bool:
        return any(hmac.compare_digest(authorization, each) for each in self._authorized)


def _is_loopback(request: web.Request) -> bool:
    # Not `request.remote`, which a client may be able to set.
    peer: Any = request.transport and request.transport.get_extra_info("peername")
    if not peer:
        return False
    address = ipaddress.ip_address(peer[0])
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def _load(body: bytes) -> dict[str, Any] | None:
    """Return the message in a body; None if functions may not send it."""
    try:
        message = parse(str(body, "utf-8"))
    except ValueError:
        return None
    if fault(message) or message.get("binary"):
        return None
    subject = message.get("subject", "")
    announces = message["method"] == ANNOUNCEMENT and (
        subject == SESSION_END or subject.startswith(APP)
    )
    return dict(message) if announces or message["method"] == "emit" else None
