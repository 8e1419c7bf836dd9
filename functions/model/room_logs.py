"""The kinds of room log: which of them a setting names."""

from pathlib import Path

from functions.model.room_log import RoomLog
from functions.model.sqlite_room_log import SQLiteRoomLog


def parse_room_log(setting: str) -> str:
    """Return a setting that names a room log; raise ValueError, to be read after its name."""
    kind, _, rest = setting.partition(":")
    if kind in ("sqlite", "dynamodb") and rest:
        return setting
    raise ValueError(f"must be sqlite:PATH or dynamodb:TABLE, not {setting!r}")


def open_room_log(setting: str) -> RoomLog:
    """Open the log a setting names.

    Raises ValueError if it names none, RoomLogError if the log cannot be opened.
    """
    kind, _, rest = parse_room_log(setting).partition(":")
    if kind == "dynamodb":
        # Here, not above: boto3 takes longer to import than the rest of a page together.
        from functions.model.dynamodb_room_log import DynamoDBRoomLog

        return DynamoDBRoomLog(rest)
    return SQLiteRoomLog(Path(rest))
