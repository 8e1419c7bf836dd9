"""The event error: how a handler refuses an event."""

from typing import Any


class EventError(Exception):
    """Refuses an event: the client gets an error as the ack, and stays connected.

    The text is meant for the user. `field` names the part of the payload that is wrong. `retry`
    tells the client that the same event may be accepted a little later. /health counts the error
    under `reason`.
    """

    def __init__(
        self, text: str, *, field: str = "", reason: str = "shape", retry: bool = False
    ) -> None:
        super().__init__(text)
        self.field = field
        self.reason = reason
        self.retry = retry

    def to_ack(self) -> dict[str, Any]:
        """Return the ack."""
        answer: dict[str, Any] = {"error": str(self)}
        if self.field:
            answer["field"] = self.field
        if self.retry:
            answer["retry"] = True
        return answer
