"""The bus: messages between socket hosts, and from functions to them.

Messages have python-socketio's own form, so its client managers understand them
(`AsyncPubSubManager._thread` in python-socketio 5.18 reads these keys). One key is ours:
`message_id`, always the first, is `sender:number` and unique. Hosts recognise duplicates by it.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

CHANNEL = "socketio"  # in Redis; python-socketio's default

ANNOUNCEMENT = "announcement"  # a method of ours, not python-socketio's

# Subjects of announcements: the prefix of yours, and the end of a visitor's sessions.
APP = "app."
SESSION_END = "session.end"

FUNCTION = "function-"  # prefix of the sender in messages from functions

LOOPBACK_PATH = "/bus"  # where functions on a host's own machine post messages

MAX_BYTES = 256 * 1024  # of one message, and of one batch: the limit of SNS

# Reserved event names: a client library that receives one from a server disconnects.
RESERVED_EVENTS = frozenset(
    ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"]
)

# SNS and SQS refuse these characters, which JSON allows; written as escapes they pass.
_UNSENDABLE = re.compile("[\ud800-\udfff\ufffe\uffff]")

_TOPIC = re.compile(r"sns:(arn:(aws[a-z-]*):sns:([a-z0-9-]+):(\d{12}):([\w-]+)\.fifo)", re.ASCII)

_json = json.JSONEncoder(separators=(",", ":"), allow_nan=False, ensure_ascii=False)
_ascii_json = json.JSONEncoder(separators=(",", ":"), allow_nan=False)


class BusMessageError(ValueError):
    """The message cannot go over the bus; the text says why."""


@dataclass(frozen=True)
class Topic:
    """The SNS FIFO topic that every host's queue is subscribed to."""

    arn: str
    partition: str
    region: str
    account: str
    name: str  # without .fifo

    @classmethod
    def parse(cls, setting: str) -> Self:
        """Return the topic in a setting `sns:<topic arn>`; raise ValueError for any other text."""
        if found := _TOPIC.fullmatch(setting):
            return cls(*found.groups())
        raise ValueError(
            "must be written sns:arn:aws:sns:REGION:ACCOUNT:NAME.fifo, the ARN of a FIFO topic, "
            f"not {setting!r}"
        )


def encode(message: Mapping[str, Any], message_id: str, most: int = MAX_BYTES) -> str:
    """Return a manager's message as JSON, for a bus that allows `most` bytes.

    Raises BusMessageError if it is not JSON, too large for the bus, or a reserved event.
    """
    identified = {"message_id": message_id, **message}
    what = message.get("event") or message.get("subject") or message.get("method")
    if message.get("event") in RESERVED_EVENTS:
        raise BusMessageError(f"The event {what!r} is reserved by Socket.IO and cannot be emitted.")
    try:
        text = _json.encode(identified)
        if not text.isascii() and _UNSENDABLE.search(text):
            text = _ascii_json.encode(identified)
    except (TypeError, ValueError, RecursionError) as error:
        raise BusMessageError(f"The data of {what!r} cannot be sent as JSON: {error}.") from None
    size = len(text) if text.isascii() else len(text.encode())
    if size > most:
        raise BusMessageError(
            f"The data of {what!r} makes a message of {size} bytes; the bus accepts up to {most}."
        )
    return text


def encode_emit(
    event: str, data: Any, *, room: str | None = None, namespace: str = "/", sender: str
) -> str:
    """Return the JSON that makes every host emit `event` to `room`, or to everybody if it is None.

    A tuple stands for several arguments, as in python-socketio. `sender` must be new for every
    message: it identifies the message, so that a host handles it once. Raises BusMessageError if
    the data is not JSON, the message is too large for the bus, or the event is reserved.
    """
    message = {
        "method": "emit",
        "event": event,
        # Always a list: managers take each item as an argument.
        "data": list(data) if isinstance(data, tuple) else [data],
        "namespace": namespace,
        "room": room,
        "skip_sid": None,
        "callback": None,
        "host_id": sender,
    }
    return encode(message, f"{sender}:1")


def encode_announcement(subject: str, body: Any, *, sender: str) -> str:
    """Return the JSON of an announcement to every host; `sender` is as in `encode_emit`.

    Raises BusMessageError if the body is not JSON, or the message is too large for the bus.
    """
    message = {"method": ANNOUNCEMENT, "host_id": sender, "subject": subject, "body": body}
    return encode(message, f"{sender}:1")


def loopback_token(secret: str) -> str:
    """Return the token of a function on the host's machine, derived from the session secret."""
    return hmac.digest(secret.encode(), b"sidepath.bus.v1", hashlib.sha256).hex()
