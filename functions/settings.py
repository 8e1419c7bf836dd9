"""The function's settings: read once from the environment, at the door."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from functions.contract.room_log import is_room_log
from functions.contract.session import parse_secrets
from functions.emit import open_emitter


class SettingError(Exception):
    """Settings are missing or malformed; the text names each and says what it must be."""


@dataclass(frozen=True)
class Settings:
    """What the function needs to know before its first request."""

    session_secret: str
    room_log: str
    bus: str = ""
    development: bool = False
    former_secrets: tuple[str, ...] = ()  # sign nothing any more, but what they signed is believed

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Self:
        """Return the settings an environment holds; raise SettingError naming all it lacks."""
        development = environ.get("STAGE", "production") == "development"
        room_log = environ.get("ROOM_LOG", "")
        bus = environ.get("BUS", "")
        problems = []
        if environ.get("STAGE", "production") not in ("production", "development"):
            problems.append("STAGE must be production or development.")
        secrets: tuple[str, ...] = ("",)
        try:
            secrets = parse_secrets(environ.get("SESSION_SECRET", ""), development=development)
        except ValueError as error:
            problems.append(f"SESSION_SECRET {error}.")
        if not is_room_log(room_log):
            problems.append("ROOM_LOG must say where messages are kept, written sqlite:PATH.")
        try:
            open_emitter(bus, secrets[0])
        except ValueError as error:
            problems.append(f"BUS {error}.")
        if problems:
            raise SettingError(" ".join(problems))
        return cls(secrets[0], room_log, bus, development, secrets[1:])
