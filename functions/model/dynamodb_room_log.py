"""The room log in one DynamoDB table, which any number of hosts and functions share.

The table's key is `room` and, in it, `item`: a message is kept as `seq#…`, its number written with
zeros in front so that DynamoDB sorts by it; beside it `id#…` holds the same message under the
client's id; `text` is the room's current text. infra/template.yaml declares the table.

An append is one call, a transaction of two conditional puts, and cannot be a single put: the number
has to be free and so has the id, and a condition sees one item. To look for the id first, on a
retry only, would store a message twice whose first try, at another host, is still under way.
"""

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from functions.model.room_log import BATCH, PAGE, Appended, Message, RoomLogError, RoomState

KEPT_DAYS = 90  # then DynamoDB's TTL deletes a message

# Seconds in which an append is tried again. Each lost try means that another host's append to the
# same room won, so with n hosts writing at once the n-th wins at the latest, but for bad luck.
_PERSISTENCE = 3.0
_PAUSE = 0.02  # seconds before the second try, at most; it doubles, up to a bound, with each
_LONGEST_PAUSE = 0.5

_ROOMS_REMEMBERED = 10_000  # whose last number is kept, to append with one call

# Fail while the client still waits for its ack (10 s in the browser), so that it hears why.
_PATIENCE = Config(
    connect_timeout=1, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 3}
)

Item = dict[str, dict[str, str]]


class DynamoDBRoomLog:
    """A room log in a DynamoDB table. `client` is for tests; boto3's own finds AWS by itself."""

    def __init__(self, table: str, client: Any = None) -> None:
        with _aws():
            self._dynamodb = client or boto3.client("dynamodb", config=_PATIENCE)
        self._table = table
        self._lock = threading.Lock()
        self._last: dict[str, int] = {}  # by room, the one longest unused first

    def append(self, room: str, *, id: str, author: str, name: str, text: str) -> Appended:  # noqa: A002 - the wire's word
        """Store a message as the room's next, or return the one already stored under `id`."""
        at = time.time_ns() // 1_000_000
        last = self._last.get(room)
        for _ in _tries():
            seq = 1 + (self._read_last(room) if last is None else last)
            message = Message(room, seq, id, author, name, text, at)
            stored, taken = self._put(message)
            if stored:
                return Appended(stored, new=False)
            if not taken:
                self._remember(room, seq)
                return Appended(message, new=True)
            last = None
        raise RoomLogError(f"The room {room} is too busy to take another message now.")

    def latest(self, room: str, limit: int = PAGE) -> list[Message]:
        """Return the room's last messages, oldest first."""
        items = self._query(room, _seq(0), _END, limit, backwards=True)
        return [_message(item) for item in reversed(items)]

    def state(self, room: str, after: int = 0) -> RoomState:
        """Return how a room stands, but no message up to the number `after`: for who knows them."""
        # One call: the text's key comes behind those of the messages.
        items = self._query(room, _seq(after + 1), _TEXT, PAGE + 1, backwards=True)
        text = items.pop(0)["text"]["S"] if items and items[0]["item"]["S"] == _TEXT else ""
        return RoomState([_message(item) for item in reversed(items[:PAGE])], text)

    def after(self, room: str, seq: int, limit: int = BATCH) -> list[Message]:
        """Return the first messages that came after `seq`, oldest first."""
        return [_message(item) for item in self._query(room, _seq(seq + 1), _END, limit)]

    def keep_text(self, room: str, text: str) -> None:
        """Remember the room's current text: what was last typed, not yet a message."""
        item = {**_key(room, _TEXT), "text": {"S": text}, "expires": _expires()}
        with _aws():
            self._dynamodb.put_item(TableName=self._table, Item=item)

    def text(self, room: str) -> str:
        """Return the room's current text, empty if none was kept."""
        items = self._query(room, _TEXT, _TEXT, 1)
        return items[0]["text"]["S"] if items else ""

    def close(self) -> None:
        """Close the connections."""
        self._dynamodb.close()

    def _put(self, message: Message) -> tuple[Message | None, bool]:
        """Store a message under its number and its id, or neither.

        Returns the message stored earlier under that id, if there is one, and whether the number
        was taken.
        """
        puts = [self._new(message, _seq(message.seq)), self._new(message, f"id#{message.id}")]
        try:
            with _aws("TransactionCanceledException"):
                self._dynamodb.transact_write_items(TransactItems=puts)
        except ClientError as error:
            by_seq, by_id = error.response["CancellationReasons"]
            if "Item" in by_id:
                return _message(by_id["Item"]), False
            # TransactionConflict: somebody is writing these very items now, so look again.
            if {by_seq["Code"], by_id["Code"]} <= {*_TAKEN, "None"}:
                return None, True
            raise RoomLogError(f"The message was not stored: {error}.") from error
        return None, False

    def _new(self, message: Message, item: str) -> dict[str, Any]:
        put = {
            "TableName": self._table,
            "Item": {**_item(message), **_key(message.room, item), "expires": _expires()},
            "ConditionExpression": "attribute_not_exists(room)",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        return {"Put": put}

    def _read_last(self, room: str) -> int:
        latest = self.latest(room, 1)
        return latest[0].seq if latest else 0

    def _remember(self, room: str, last: int) -> None:
        with self._lock:
            self._last.pop(room, None)
            self._last[room] = last
            if len(self._last) > _ROOMS_REMEMBERED:
                del self._last[next(iter(self._last))]

    def _query(
        self, room: str, start: str, end: str, limit: int, *, backwards: bool = False
    ) -> list[Item]:
        query = {
            "TableName": self._table,
            "KeyConditionExpression": "room = :room AND #item BETWEEN :start AND :end",
            "ExpressionAttributeNames": {"#item": "item"},
            "ExpressionAttributeValues": {
                ":room": {"S": room},
                ":start": {"S": start},
                ":end": {"S": end},
            },
            # A client that asks for a message it was told of must not be answered with a past
            # that lacks it, and an append must not count from an old number.
            "ConsistentRead": True,
            "ScanIndexForward": not backwards,
        }
        items: list[Item] = []
        # DynamoDB ends an answer at 1 MB, full or not.
        while len(items) < limit:
            with _aws():
                found = self._dynamodb.query(**query, Limit=limit - len(items))
            items += found["Items"]
            if "LastEvaluatedKey" not in found:
                break
            query["ExclusiveStartKey"] = found["LastEvaluatedKey"]
        return items


_DIGITS = 16  # of a number in a key: enough for the largest whole number of JavaScript
_TAKEN = ("ConditionalCheckFailed", "TransactionConflict")


def _tries() -> Iterator[None]:
    """Yield at each time to try, after pauses that are never the same as another host's."""
    end = time.monotonic() + _PERSISTENCE
    longest = _PAUSE
    yield
    while time.monotonic() < end:
        time.sleep(random.uniform(0, longest))
        longest = min(longest * 2, _LONGEST_PAUSE)
        yield


@contextmanager
def _aws(*expected: str) -> Iterator[None]:
    """Turn what boto3 raises into RoomLogError, but for the expected error codes."""
    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] in expected:
            raise
        raise RoomLogError(f"DynamoDB refused: {error}.") from error
    except BotoCoreError as error:
        raise RoomLogError(f"DynamoDB cannot be used now: {error}.") from error


def _seq(seq: int) -> str:
    return f"seq#{seq:0{_DIGITS}}"


_END = _seq(10**_DIGITS - 1)  # the last key a message can have
_TEXT = "text"  # the key of the current text


def _key(room: str, item: str) -> Item:
    return {"room": {"S": room}, "item": {"S": item}}


def _expires() -> dict[str, str]:
    return {"N": str(int(time.time()) + KEPT_DAYS * 24 * 60 * 60)}


def _item(message: Message) -> Item:
    return {
        "seq": {"N": str(message.seq)},
        "id": {"S": message.id},
        "author": {"S": message.author},
        "name": {"S": message.name},
        "text": {"S": message.text},
        "at": {"N": str(message.at)},
    }


def _message(item: Item) -> Message:
    return Message(
        room=item["room"]["S"],
        seq=int(item["seq"]["N"]),
        id=item["id"]["S"],
        author=item["author"]["S"],
        name=item["name"]["S"],
        text=item["text"]["S"],
        at=int(item["at"]["N"]),
    )
