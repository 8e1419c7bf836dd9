"""The sizes of caches are limited in bytes."""

from markupsafe import Markup

from functions.model.payloads import MAX_TEXT
from functions.model.room_cache import RoomCache
from functions.model.room_log import Message, RoomState
from functions.pages.message_items import MessageItems
from tests.kit.memory import MB, memory


class Endless:
    """A room log in which every room has a page of the longest messages."""

    def state(self, room: str, after: int = 0) -> RoomState:
        return RoomState([] if after else longest(room, 50), "")


def longest(room: str, count: int) -> list[Message]:
    """Return messages of the largest possible size in memory."""
    return [
        Message(
            room,
            n + 1,
            f"{room}-{n}",
            "a" * 64,
            "Ann",
            f"{n:06}" + "\U0001f98a" * (MAX_TEXT - 6),
            0,
        )
        for n in range(count)
    ]


def test_remembered_rooms_are_bounded() -> None:
    """After requests for many full rooms, a function keeps at most 24 MB of them."""
    recent = RoomCache(Endless())  # type: ignore[arg-type]  # has the only method that is used
    with memory(24 * MB):
        for number in range(120):
            recent.state(f"room-{number}")


def test_remembered_html_is_bounded() -> None:
    """Messages that are largest as HTML, and their HTML, take at most 30 MB."""
    items = MessageItems(lambda message, mine: Markup(message.text.replace("'", "&#39;")))
    with memory(30 * MB):
        for number in range(40):
            room = longest(str(number), 50)
            items([m._replace(text="'" * (MAX_TEXT - 1) + "\U0001f98a") for m in room], "me")
