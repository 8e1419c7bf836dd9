"""The auction: bids, and what becomes of lots."""

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
    """Takes bids, and sells a lot once nobody bids more."""

    namespace = "/auction"
    volatile = frozenset({"tick"})

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Open the lots, and write down what is bid."""
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
        """Let nobody in whose name is on the list."""
        return self.visitor(sid).name != "Mallory"

    def may_join(self, sid: str, room: str) -> bool:
        """Keep what is not shown yet for the auctioneer."""
        return not room.startswith("secret-") or self.visitor(sid).has("role=auctioneer")

    async def on_look(self, sid: str, lot: str) -> dict[str, bool]:
        """Hear of a lot from now on."""
        await self.enter_room(sid, lot)
        return {"ok": True}

    @event("auction:bid", limit="5/s")
    async def bid(self, sid: str, bid: Bid) -> dict[str, int]:
        """Take a bid, and tell everybody who looks at the lot."""
        bidder = self.visitor(sid)
        self.check_room(bid.lot)
        try:
            taken = await asyncio.to_thread(
                self.lots.bid, bid.lot, bid.amount, bidder.id, time.time()
            )
        except LotsError as error:
            raise EventError("Bids cannot be stored just now.", retry=True) from error
        if not taken:
            raise EventError("It is sold, or somebody has bid as much.", field="amount")
        self.bids.put_nowait(bid)
        shown = {"lot": bid.lot, "amount": bid.amount, "name": bidder.name}
        await self.emit("bid", shown, room=bid.lot)
        return {"highest": bid.amount}

    @event("auction:written")
    async def tell_written(self, sid: str) -> list[str]:
        """Tell which bids this host has written down."""
        return self.written

    async def on_sales(self, sid: str) -> int:
        """Tell how many lots this host has sold."""
        return self.sales

    @event("auction:ban", claim="role=auctioneer")
    async def ban(self, sid: str, visitor: str) -> None:
        """Send somebody away, wherever they are."""
        self.disconnect_visitor(visitor)

    @every(0.2, once=True)
    async def sell(self, number: int) -> None:
        """Sell what nobody bids more for: one host does."""
        patience = self.settings.own["CLOSING"]
        for lot in await asyncio.to_thread(self.lots.all):
            over = lot.bidder and not lot.sold and lot.at + patience < time.time()
            if over and await asyncio.to_thread(self.lots.sell, lot, number):
                self.sales += 1
                await self.emit("sold", {"lot": lot.name, "to": lot.bidder, "number": number})

    @every(0.5)
    async def tick(self) -> None:
        """Show the time: each host tells its own clients."""
        await self.emit("tick", int(time.time()), ignore_queue=True)

    @subscribe("withdrawn")
    async def withdrawn(self, lot: str) -> None:
        """Hear from a page that a lot is gone; each host tells its own clients."""
        await self.emit("withdrawn", lot, ignore_queue=True)

    async def write_down(self) -> None:
        """Write down every bid; the list is full of what is not a lot."""
        while True:
            bid = await self.bids.get()
            if bid.lot == "poison":
                raise RuntimeError("the pen is broken")
            self.written.append(f"{bid.lot} {bid.amount}")
