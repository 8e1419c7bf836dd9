"""The auction: bids, and the sale of lots."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from functions.contract.setting import StartError
from functions.model.bids import Bid
from functions.model.lots import Lots, LotsError, open_lots
from socket_host.event_error import EventError
from socket_host.events.members import Members
from socket_host.namespace import event, every, subscribe


class Auction(Members):
    """Takes bids, and sells a lot once there are no more bids."""

    namespace = "/auction"
    volatile = frozenset({"tick"})

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Open the lots, and start recording bids."""
        try:
            self.lots: Lots = await asyncio.to_thread(open_lots, self.settings.own["LOTS"])
        except OSError as error:
            raise StartError(f"The lots cannot be opened: {error}.") from error
        self.bids: asyncio.Queue[Bid] = asyncio.Queue(1_000)
        self.written: list[str] = []
        self.sales = 0
        self.supervise(self.write_down)
        async with super().lifespan():
            yield
        await asyncio.to_thread(self.lots.close)

    async def on_connect(self, sid: str, environ: Mapping[str, Any], auth: Any) -> bool | None:
        """Refuse visitors whose name is on the list."""
        return self.visitor(sid).name != "Mallory"

    def may_join(self, sid: str, room: str) -> bool:
        """Let only the auctioneer enter rooms of lots that are not shown yet."""
        return not room.startswith("secret-") or self.visitor(sid).has("role=auctioneer")

    async def on_look(self, sid: str, lot: str) -> dict[str, bool]:
        """Subscribe to a lot."""
        await self.enter_room(sid, lot)
        return {"ok": True}

    @event("auction:bid", limit="5/s")
    async def bid(self, sid: str, bid: Bid) -> dict[str, int]:
        """Store a bid, and send it to everybody who is looking at the lot."""
        bidder = self.visitor(sid)
        self.check_room(bid.lot)
        try:
            taken = await asyncio.to_thread(
                self.lots.bid, bid.lot, bid.amount, bidder.id, time.time()
            )
        except LotsError as error:
            raise EventError("Bids cannot be stored right now.", retry=True) from error
        if not taken:
            raise EventError("The lot is sold, or somebody has bid as much.", field="amount")
        self.bids.put_nowait(bid)
        shown = {"lot": bid.lot, "amount": bid.amount, "name": bidder.name}
        await self.emit("bid", shown, room=bid.lot)
        return {"highest": bid.amount}

    @event("auction:written")
    async def tell_written(self, sid: str) -> list[str]:
        """Return the bids that this host has recorded."""
        return self.written

    async def on_sales(self, sid: str) -> int:
        """Return how many lots this host has sold."""
        return self.sales

    @event("auction:ban", claim="role=auctioneer")
    async def ban(self, sid: str, visitor: str) -> None:
        """Disconnect a visitor on all hosts."""
        self.disconnect_visitor(visitor)

    @every(0.2, once=True)
    async def sell(self, number: int) -> None:
        """Sell lots without recent bids, on one host."""
        patience = self.settings.own["CLOSING"]
        for lot in await asyncio.to_thread(self.lots.all):
            over = lot.bidder and not lot.sold and lot.at + patience < time.time()
            if over and await asyncio.to_thread(self.lots.sell, lot, number):
                self.sales += 1
                await self.emit("sold", {"lot": lot.name, "to": lot.bidder, "number": number})

    @every(0.5)
    async def tick(self) -> None:
        """Send the time; each host sends it to its own clients."""
        await self.emit("tick", int(time.time()), ignore_queue=True)

    @subscribe("withdrawn")
    async def withdrawn(self, lot: str) -> None:
        """Handle a lot's withdrawal by a page; each host informs its own clients."""
        await self.emit("withdrawn", lot, ignore_queue=True)

    async def write_down(self) -> None:
        """Record every bid; fail for what is not a lot."""
        while True:
            bid = await self.bids.get()
            if bid.lot == "poison":
                raise RuntimeError("the pen is broken")
            self.written.append(f"{bid.lot} {bid.amount}")
