"""A poll."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from socket_host.namespace import Namespace, event
from tests.small_app.model.votes import Votes


class Poll(Namespace):
    """Counts votes, and sends the counts to everybody."""

    def __init__(self, settings: Any, namespace: str | None = None) -> None:
        super().__init__(settings, namespace)
        self.life: list[str] = []

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        self.votes = Votes(self.settings.own["MOST_VOTES"])
        self.life.append("started")
        yield
        self.life.append("stopped")

    async def settle(self) -> None:
        await super().settle()
        self.life.append("settled")

    @event("poll:vote", limit="5/s")
    async def vote(self, sid: str, choice: str) -> dict[str, int]:
        count = self.votes.add(choice)
        await self.emit("count", {choice: count})
        return {"count": count}
