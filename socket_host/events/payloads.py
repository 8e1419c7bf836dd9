"""The payloads that clients send. Invalid ones raise EventError."""

from dataclasses import dataclass

from functions.model.payloads import MAX_ID, MAX_TEXT, is_blank, is_message_id, is_room, is_text
from socket_host.event_error import EventError

MAX_SEQ = 2**53 - 1  # JavaScript's largest safe integer


@dataclass
class Join:
    """A room to join, and the number of the last message that the client has of it, if any."""

    room: str
    after: int | None = None

    def __post_init__(self) -> None:
        if not is_room(self.room):
            raise EventError(
                "A room's name has 1 to 64 lowercase letters, digits or hyphens, and no leading "
                "hyphen.",
                field="room",
            )
        if self.after is not None:
            check_seq(self.after)


@dataclass
class Seen:
    """The number of the last message that the client has."""

    after: int

    def __post_init__(self) -> None:
        check_seq(self.after)


@dataclass
class Message:
    """A message: its text, and an id chosen by the client."""

    id: str
    text: str

    def __post_init__(self) -> None:
        if not is_message_id(self.id):
            raise EventError(f"An id has 1 to {MAX_ID} characters.", field="id")
        check_text(self.text)
        if is_blank(self.text):
            raise EventError("A message must not be blank.", field="text")


def check_text(text: str) -> None:
    """Raise EventError for a text that cannot be stored."""
    if not is_text(text):
        raise EventError(
            f"A text may have up to {MAX_TEXT:,} characters, none of them a control character.",
            field="text",
        )


def check_seq(seq: int) -> None:
    """Raise EventError for a number that no message can have."""
    if not 0 <= seq <= MAX_SEQ:
        raise EventError("`after` must be the number of the last message seen.", field="after")
