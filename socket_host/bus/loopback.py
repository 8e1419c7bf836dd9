"""The loopback: where functions on the host's own machine say something to its clients.

In the cloud they publish to the bus; on one machine there need not be one.
"""

import hmac
import ipaddress
import json
from typing import Any

import socketio  # type: ignore[import-untyped]  # python-socketio ships no types
from aiohttp import web

from functions.contract.bus import MAX_BYTES, loopback_token


class Loopback:
    """Emits what a function posts, if it is on this machine and knows one of the secrets."""

    def __init__(self, sio: socketio.AsyncServer, *secrets: str) -> None:
        self._sio = sio
        self._authorized = [f"Bearer {loopback_token(secret)}".encode() for secret in secrets]

    async def emit(self, request: web.Request) -> web.Response:
        """Answer a request: emit to the clients of this host, and of the others on its bus."""
        authorization = request.headers.get("Authorization", "").encode()
        if not _is_loopback(request) or not self._is_authorized(authorization):
            return web.Response(status=403, text="Only the functions of this host may emit here.\n")
        if request.content_length is None or request.content_length > MAX_BYTES:
            return web.Response(status=413, text=f"A message has {MAX_BYTES} bytes at the most.\n")
        match _load(await request.read()):
            case {"method": "emit", "event": str(event), "data": list(data), **rest}:
                await self._sio.emit(
                    event,
                    data[0] if len(data) == 1 else tuple(data),
                    room=rest.get("room"),
                    namespace=rest.get("namespace"),
                )
                return web.Response(status=204)
        return web.Response(status=400, text="That is not a message of the bus.\n")

    def _is_authorized(self, authorization: bytes) -> bool:
        return any(hmac.compare_digest(authorization, each) for each in self._authorized)


def _is_loopback(request: web.Request) -> bool:
    # Not `request.remote`: that may be overridden by what a client says of itself.
    peer: Any = request.transport and request.transport.get_extra_info("peername")
    return bool(peer) and ipaddress.ip_address(peer[0]).is_loopback


def _load(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None
