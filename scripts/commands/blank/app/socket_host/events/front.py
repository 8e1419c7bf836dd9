"""The front page's one event."""

from typing import Any

from socket_host.event_error import EventError
from socket_host.namespace import Namespace

MAX_TEXT = 2_000  # characters


class Front(Namespace):
    """Shows everybody what is typed."""

    async def on_input_change(self, sid: str, text: Any) -> dict[str, Any]:
        """Send the text to everybody else."""
        if not isinstance(text, str) or len(text) > MAX_TEXT:
            raise EventError(f"Send a text of up to {MAX_TEXT:,} characters.")
        self.emit_latest("update-input", text, room=None, skip_sid=sid)
        return {}
