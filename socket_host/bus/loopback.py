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

PATH = "/bus"


class Loopback:
    """An aiohttp handler that emits what a function posts.

    It listens only to this machine, and there only to those that know the session secret.
    """

    def __init__(self, sio: socketio.AsyncServer, secret: str) -> None:
        self._sio = sio
        self._authorization = f"Bearer {loopback_token(secret)}".encode()

    async def __call__(self, request: web.Request) -> web.Response:
        """Emit to this host's clients and to those of the others, if it is on a bus."""
        authorization = request.headers.get("Authorization", "").encode()
        if not _is_loopback(request) or not hmac.compare_digest(authorization, self._authorization):
            return web.Response(status=403, text="Only the functions of this host may emit here.\n")
        if (request.content_length or MAX_BYTES + 1) > MAX_BYTES:
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


def _is_loopback(request: web.Request) -> bool:
    # Not `request.remote`: that may be overridden by what a client says of itself.
    peer = request.transport.get_extra_info("peername") if request.transport else None
    return bool(peer) and ipaddress.ip_address(peer[0]).is_loopback


def _load(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None
