"""The room log in one DynamoDB table, shared by any number of hosts and functions.

The partition key is `room` and the sort key `item`. A message is stored as `seq#…`, with leading
zeros so that DynamoDB sorts by number, and again as `id#…`, under the client's id. `text` is the
room's current text. infra/template.yaml declares the table.

An append is one call, a transaction of two conditional puts. A single put is not enough: both the
number and the id must be free, and a condition sees only one item. Looking up the id first, on
retries only, would store a message twice if the first try, on another host, is still in progress.
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

from functions.contract.aws_error import explain
from functions.model.room_log import BATCH, PAGE, Appended, Message, RoomLogError, RoomState

KEPT_DAYS = 90  # after which DynamoDB's TTL deletes a message

# Seconds for which an append is retried. A try fails when another host's append to the same room
# succeeds, so each of n hosts that write at once usually succeeds within n tries.
_PERSISTENCE = 3.0
_PAUSE = 0.02  # seconds before the second try, at most; it doubles with each, up to a bound
_LONGEST_PAUSE = 0.5

_ROOMS_REMEMBERED = 10_000  # rooms whose last number is cached, so that an append takes one call

# Fail while the client still waits for its ack (10 s in the browser), so that it gets the reason.
_PATIENCE = Config(
    connect_timeout=1, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 3}
)

Item = dict[str, dict[str, str]]


class DynamoDBRoomLog:
    """A room log in a DynamoDB table; `client` replaces boto3's in tests."""

    def __init__(self, table: str, client: Any = None) -> None:
        with _aws(table):
            self._dynamodb = client or boto3.client("dynamodb", config=_PATIENCE)
        self._table = table
        self._lock = threading.Lock()
        self._last: dict[str, int] = {}  # by room, least recently used first

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
        raise RoomLogError(f"The room {room} is too busy to store another message now.")

    def latest(self, room: str, limit: int = PAGE) -> list[Message]:
        """Return the room's last messages, oldest first."""
        items = self._query(room, _seq(0), _END, limit, backwards=True)
        return [_message(item) for item in reversed(items)]

    def state(self, room: str, after: int = 0) -> RoomState:
        """Return a room's state, without the messages up to the number `after`."""
        # One call, because the text's key sorts after those of the messages.
        items = self._query(room, _seq(after + 1), _TEXT, PAGE + 1, backwards=True)
        text = items.pop(0)["text"]["S"] if items and items[0]["item"]["S"] == _TEXT else ""
        return RoomState([_message(item) for item in reversed(items[:PAGE])], text)

    def after(self, room: str, seq: int, limit: int = BATCH) -> list[Message]:
        """Return the first messages that came after `seq`, oldest first."""
        return [_message(item) for item in self._query(room, _seq(seq + 1), _END, limit)]

    def keep_text(self, room: str, text: str) -> None:
        """Store the room's current text: a draft, not yet a message."""
        item = {**_key(room, _TEXT), "text": {"S": text}, "expires": _expires()}
        with _aws(self._table):
            self._dynamodb.put_item(TableName=self._table, Item=item)

    def text(self, room: str) -> str:
        """Return the room's current text, or an empty string."""
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
            with _aws(self._table, "TransactionCanceledException"):
                self._dynamodb.transact_write_items(TransactItems=puts)
        except ClientError as error:
            by_seq, by_id = error.response["CancellationReasons"]
            if "Item" in by_id:
                return _message(by_id["Item"]), False
            # TransactionConflict: somebody is writing the same items, so try again.
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
            # Consistent, because a client that asks for a known message must get it, and an append
            # must not count from an old number.
            "ConsistentRead": True,
            "ScanIndexForward": not backwards,
        }
        items: list[Item] = []
        # DynamoDB ends a response at 1 MB, complete or not.
        while len(items) < limit:
            with _aws(self._table):
                found = self._dynamodb.query(**query, Limit=limit - len(items))
            items += found["Items"]
            if "LastEvaluatedKey" not in found:
                break
            query["ExclusiveStartKey"] = found["LastEvaluatedKey"]
        return items


_DIGITS = 16  # of a number in a key: enough for JavaScript's largest safe integer
_TAKEN = ("ConditionalCheckFailed", "TransactionConflict")


def _tries() -> Iterator[None]:
    """Yield before each try, after random pauses, so that hosts do not retry in step."""
    end = time.monotonic() + _PERSISTENCE
    longest = _PAUSE
    yield
    while time.monotonic() < end:
        time.sleep(random.uniform(0, longest))
        longest = min(longest * 2, _LONGEST_PAUSE)
        yield


@contextmanager
def _aws(table: str, *expected: str) -> Iterator[None]:
    """Turn boto3's exceptions into RoomLogError, except for the expected error codes."""
    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] in expected:
            raise
        why = explain(error, f"the table {table}")
        raise RoomLogError(f"DynamoDB refused: {why}.") from error
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
