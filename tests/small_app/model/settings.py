"""The small app's settings."""

from functions.contract.setting import Setting


def parse_most(text: str) -> int:
    """Return the most votes; raise ValueError, whose text follows the setting's name."""
    if not text.isdecimal():
        raise ValueError(f"must be a whole number, not {text!r}")
    return int(text)


def parse_file(text: str) -> str:
    """Return the path of a file; raise ValueError, whose text follows the setting's name."""
    if "/" not in text:
        raise ValueError(f"must be the path of a file, not {text!r}")
    return text


settings = [
    Setting("POSTS", "where posts are kept", parse_file, development="{data}/posts.sqlite3"),
    Setting(
        "MOST_VOTES",
        "how many votes there may be",
        parse_most,
        defaults={"host": "100"},
        development="100",
    ),
    Setting("GREETING", "how the page greets", halves=("function",), development="{data}: hello"),
]
