"""The relay: one address for what functions say to sockets, while the host's own port changes."""

from aiohttp import web

from functions.contract.bus import LOOPBACK_PATH
from scripts.commands.dev.origin_request import MAX_BODY, OriginRequest
from scripts.commands.dev.origins import Origin
from scripts.commands.dev.refusal import RefusedError

_PATIENCE = 2.0  # seconds the host may be silent


class Relay:
    """Passes what is posted to the bus on to the socket host, which asks for the secret."""

    def __init__(self, host: Origin) -> None:
        self._host = host

    async def answer(self, sender: web.BaseRequest) -> web.StreamResponse:
        """Return the host's answer, or say why there is none."""
        if sender.path != LOOPBACK_PATH or (sender.content_length or 0) > MAX_BODY:
            return web.Response(status=404)
        headers = [("Authorization", sender.headers.get("Authorization", ""))]
        body = await sender.read()
        try:
            return await self._host.answer(
                sender,
                OriginRequest("POST", LOOPBACK_PATH, "", headers, body, "127.0.0.1", _PATIENCE),
            )
        except RefusedError as refusal:
            return refusal.response("")
