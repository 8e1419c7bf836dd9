"""The relay: a fixed address for functions' emits, because the host's port changes.

It also accepts messages for queues, and functions in `sam local` reach the stand-in for AWS through
it.
"""

from aiohttp import web

from functions.contract.bus import LOOPBACK_PATH
from scripts.commands.dev.edge import read_body
from scripts.commands.dev.origin_request import OriginRequest
from scripts.commands.dev.origins import Origin
from scripts.commands.dev.queues import JSON, TARGET, Queues
from scripts.commands.dev.refusal import RefusedError

# Seconds for which each may be silent.
_HOST_PATIENCE = 2.0
_AWS_PATIENCE = 30.0

_AWS_HEADERS = ("Authorization", "Content-Type", "X-Amz-Date", "X-Amz-Target")  # DynamoDB's


class Relay:
    """Forwards posts to the bus to the socket host, which checks the secret."""

    def __init__(
        self, host: Origin, queues: Queues | None = None, aws: Origin | None = None
    ) -> None:
        """Forward everything else to the stand-in for AWS, if there is one."""
        self._host = host
        self._queues = queues
        self._aws = aws

    async def answer(self, sender: web.BaseRequest) -> web.StreamResponse:
        """Return the host's response, or an error that says why there is none."""
        try:
            return await self._answer(sender)
        except RefusedError as refusal:
            return refusal.response("")

    async def _answer(self, sender: web.BaseRequest) -> web.StreamResponse:
        target = sender.headers.get("X-Amz-Target", "")
        if self._queues and target.startswith(TARGET):
            status, answer = self._queues.answer(target, await read_body(sender))
            return web.json_response(answer, status=status, content_type=JSON)
        to_host = sender.path == LOOPBACK_PATH
        origin = self._host if to_host else self._aws
        if origin is None:
            return web.Response(status=404)
        kept = ("Authorization",) if to_host else _AWS_HEADERS
        headers = [(name, sender.headers[name]) for name in kept if name in sender.headers]
        patience = _HOST_PATIENCE if to_host else _AWS_PATIENCE
        body = await read_body(sender)
        request = OriginRequest("POST", sender.path, "", headers, body, "127.0.0.1", patience)
        return await origin.answer(sender, request)
