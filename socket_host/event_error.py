"""The event error: how a handler says no to the client that sent the event."""

from typing import Any


class EventError(Exception):
    """An event is answered with an error, and nothing else happens; the connection stays.

    The text is for the person at the other end. `field` names the part of the payload that is
    wrong. `retry` tells the client that the same event may be accepted a little later; `reason` is
    what /health counts it under.
    """

    def __init__(
        self, text: str, *, field: str = "", reason: str = "shape", retry: bool = False
    ) -> None:
        super().__init__(text)
        self.field = field
        self.reason = reason
        self.retry = retry

    def to_ack(self) -> dict[str, Any]:
        """Return what the client gets as the answer to its event."""
        answer: dict[str, Any] = {"error": str(self)}
        if self.field:
            answer["field"] = self.field
        if self.retry:
            answer["retry"] = True
        return answer
