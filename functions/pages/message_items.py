"""Messages as HTML: the items of a room's list."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from sys import getsizeof

from markupsafe import Markup

from functions.contract.cache import Cache
from functions.model.room_cache import size
from functions.model.room_log import Message

# Bytes of cached HTML, of single messages and of a page's list. One message has at most 40 KB, when
# HTML escapes each of its characters.
_REMEMBERED = 8 * 1024 * 1024
_REMEMBERED_LISTS = 16 * 1024 * 1024


class MessageItems:
    """Messages as HTML, each rendered once, because a message never changes."""

    def __init__(self, item: Callable[[Message, bool], Markup]) -> None:
        self._make = item
        self._items: Cache[tuple[Message, bool], Markup] = Cache(_REMEMBERED)
        self._lists: Cache[tuple[tuple[Message, ...], str], Markup] = Cache(_REMEMBERED_LISTS)

    def __call__(self, messages: Iterable[Message], me: str) -> Markup:
        """Return messages as list items; those of the visitor `me` are marked."""
        messages = tuple(messages)
        # All visitors who wrote none of these messages see the same list.
        key = messages, me if me in [message.author for message in messages] else ""
        joined = self._lists.get(key)
        if joined is None:
            items = [self._item(message, message.author == me) for message in messages]
            joined = Markup("".join(items))  # the template has escaped them
            self._lists.put(key, joined, getsizeof(joined) + size(messages))
        return joined

    def _item(self, message: Message, mine: bool) -> Markup:
        item = self._items.get((message, mine))
        if item is None:
            item = self._make(message, mine)
            self._items.put((message, mine), item, getsizeof(item) + size([message]))
        return item


def iso(milliseconds: int) -> str:
    """Return a message's time for HTML's `datetime`, in UTC."""
    # Faster than strftime, which counts on a page full of messages.
    return datetime.fromtimestamp(milliseconds // 1000, UTC).isoformat().replace("+00:00", "Z")
