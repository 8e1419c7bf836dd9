"""The auctioneer's desk."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from socketio import exceptions

from functions.model.bids import Offer
from functions.model.lots import open_lots
from socket_host.event_error import EventError
from socket_host.events.members import Members
from socket_host.namespace import event


class Desk(Members):
    """Offers lots, and has the camera's key; for the auctioneer only."""

    namespace = "/desk"

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Open the lots."""
        self.lots = await asyncio.to_thread(open_lots, self.settings.own["LOTS"])
        async with super().lifespan():
            yield
        await asyncio.to_thread(self.lots.close)

    async def on_connect(self, sid: str, environ: Mapping[str, Any], auth: Any) -> None:
        """Refuse everybody but the auctioneer."""
        if not self.visitor(sid).has("role=auctioneer"):
            why = "This is the auctioneer's desk."
            raise exceptions.ConnectionRefusedError(why, {"code": "claim"})

    @event("desk:offer", limit="10/m")
    async def offer(self, sid: str, offer: Offer) -> dict[str, str]:
        """Offer a lot."""
        if not await asyncio.to_thread(self.lots.offer, offer.lot, offer.reserve, time.time()):
            raise EventError("There is a lot with this name.", field="lot")
        await self.emit("offered", offer.lot, namespace="/auction")
        return {"lot": offer.lot}

    async def on_camera(self, sid: str) -> int:
        """Return the length of the camera's key."""
        return len(self.settings.own["STREAM_KEY"])
