"""The auction's settings."""

from functions.contract.setting import Setting
from functions.model.lots import parse_store


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not seconds > 0:
        raise ValueError(f"must be a number of seconds above 0, not {text!r}")
    return seconds


settings = [
    Setting(
        "LOTS",
        "where lots are kept: sqlite:PATH or dynamodb:TABLE",
        parse=parse_store,
        development="sqlite:{data}/lots.sqlite3",
    ),
    Setting(
        "ENDINGS",
        "where ended sessions are recorded: sqlite:PATH or dynamodb:TABLE",
        parse=parse_store,
        development="sqlite:{data}/endings.sqlite3",
    ),
    Setting(
        "QUESTIONS",
        "the URL of the queue of questions",
        halves=("function",),
        development="Questions",
    ),
    Setting(
        "CLOSING",
        "after how many seconds without a bid a lot is sold",
        parse=_seconds,
        halves=("host",),
        defaults={"host": "60"},
        development="1",
    ),
    Setting(
        "AUCTIONEER_PASSWORD",
        "the word with which the auctioneer signs in",
        halves=("function",),
        development="gavel",
    ),
    Setting(
        "STREAM_KEY",
        "the key to the stream of the hall's camera",
        halves=("host",),
        development="camera",
    ),
    Setting(
        "ADDRESS",
        "the site's address, for links",
        halves=("function",),
        development="http://localhost:3000",
    ),
]
