"""A poll."""

from typing import Any

from socket_host.event_error import EventError
from socket_host.namespace import Namespace
from tests.small_app.model.votes import Votes


class Poll(Namespace):
    """Counts votes, and says the count to everybody."""

    def __init__(self, settings: Any, namespace: str | None = None) -> None:
        super().__init__(settings, namespace)
        self.life: list[str] = []

    async def start(self) -> None:
        self.votes = Votes(self.settings.own["MOST_VOTES"])
        self.life.append("started")

    async def stop(self) -> None:
        self.life.append("stopped")

    async def settle(self) -> None:
        await super().settle()
        self.life.append("settled")

    async def on_vote(self, sid: str, choice: Any) -> dict[str, int]:
        if not isinstance(choice, str):
            raise EventError("A choice is a text.")
        count = self.votes.add(choice)
        await self.emit("count", {choice: count})
        return {"count": count}
