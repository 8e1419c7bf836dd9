"""The bus message: how anybody who is not the socket host asks it to emit an event.

The form is python-socketio's own, so its client managers understand it unchanged
(`AsyncPubSubManager._thread` in python-socketio 5.18 reads these keys).
"""

import json
from typing import Any

MAX_BYTES = 256 * 1024  # of one message: what SNS and SQS take at the most


class BusMessageError(ValueError):
    """The message cannot go over the bus; the text says why."""


def encode_emit(
    event: str, data: Any, *, room: str | None = None, namespace: str = "/", sender: str
) -> str:
    """Return the JSON text that makes every host emit `event` to `room`, or to all without one.

    `sender` names who publishes, so that a host can tell its own messages from others'.
    Raises BusMessageError if the data is no JSON or the message is too large for the bus.
    """
    message = {
        "method": "emit",
        "event": event,
        "data": data,
        "namespace": namespace,
        "room": room,
        "skip_sid": None,
        "callback": None,
        "host_id": sender,
    }
    try:
        text = json.dumps(message, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise BusMessageError(
            f"The data of {event!r} cannot be written as JSON: {error}."
        ) from None
    if len(text) > MAX_BYTES:  # json.dumps writes ASCII: one character, one byte
        raise BusMessageError(
            f"The data of {event!r} makes a message of {len(text)} bytes; "
            f"the bus takes {MAX_BYTES}."
        )
    return text
