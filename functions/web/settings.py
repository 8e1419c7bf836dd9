"""The function's settings: read once from the environment, at the start."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from functions.contract.reserved import framework_setting
from functions.contract.session import parse_secrets
from functions.contract.setting import Setting, SettingError, read_settings
from functions.web.emitters import open_emitter


@dataclass(frozen=True)
class Settings:
    """The function's settings.

    `own` has the values of the settings declared in functions/model/settings.py.
    """

    session_secret: str
    bus: str = ""
    development: bool = False
    former_secrets: tuple[str, ...] = ()  # sign nothing, but what they signed is valid
    own: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_environ(cls, environ: Mapping[str, str], declared: Sequence[Setting] = ()) -> Self:
        """Return the settings in an environment; raise SettingError listing every problem."""
        stage = framework_setting(environ, "STAGE") or "production"
        development = stage == "development"
        bus = framework_setting(environ, "BUS")
        problems = []
        if stage not in ("production", "development"):
            problems.append("STAGE must be production or development.")
        secrets: tuple[str, ...] = ("",)
        try:
            secrets = parse_secrets(
                framework_setting(environ, "SESSION_SECRET"), development=development
            )
        except ValueError as error:
            problems.append(f"SESSION_SECRET {error}.")
        try:
            open_emitter(bus, secrets[0])
        except ValueError as error:
            problems.append(f"BUS {error}.")
        own, wrong = read_settings(declared, "function", environ)
        problems += wrong
        if problems:
            raise SettingError(" ".join(problems))
        return cls(secrets[0], bus, development, secrets[1:], own)
