"""Your settings: declare each once, for both halves, scripts/dev and the tests."""

from functions.contract.setting import Setting
from functions.model.room_logs import parse_room_log

settings = [
    Setting(
        "ROOM_LOG",
        "where messages are kept: sqlite:PATH or dynamodb:TABLE",
        parse=parse_room_log,
        defaults={"host": "sqlite:.sidepath/rooms.sqlite3"},
        development="sqlite:{data}/rooms.sqlite3",
    ),
]
