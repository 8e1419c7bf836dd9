"""The kinds of room log, selected by a setting."""

from pathlib import Path

from functions.model.room_log import RoomLog
from functions.model.sqlite_room_log import SQLiteRoomLog


def parse_room_log(setting: str) -> str:
    """Return a valid setting; raise ValueError, whose text follows the setting's name."""
    kind, _, rest = setting.partition(":")
    if kind in ("sqlite", "dynamodb") and rest:
        return setting
    raise ValueError(f"must be sqlite:PATH or dynamodb:TABLE, not {setting!r}")


def open_room_log(setting: str) -> RoomLog:
    """Open the log that a setting names.

    Raises ValueError if it is malformed, and RoomLogError if the log cannot be opened.
    """
    kind, _, rest = parse_room_log(setting).partition(":")
    if kind == "dynamodb":
        # Not at the top of the module: boto3 is slow to import.
        from functions.model.dynamodb_room_log import DynamoDBRoomLog

        return DynamoDBRoomLog(rest)
    return SQLiteRoomLog(Path(rest))
