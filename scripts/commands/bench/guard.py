"""Sessions and an origin for clients of a host whose checks are on."""

from pathlib import Path

from functions.contract.session import COOKIE, Session, Sessions

SECRET = "benchmark-secret-that-guards-nothing"
ORIGIN = "https://sidepath.example"


def write_cookies(path: Path, count: int) -> None:
    """Write `count` Cookie headers to a file, each with another session."""
    sessions = Sessions(SECRET)
    lines = [f"{COOKIE}={sessions.issue(Session.new())}" for _ in range(count)]
    path.write_text("\n".join(lines) + "\n", "utf-8")
