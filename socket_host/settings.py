"""The host's settings: read once from the environment, at the start."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from functions.contract.reserved import framework_setting
from functions.contract.session import parse_secrets
from functions.contract.setting import Setting, SettingError, read_settings
from socket_host.bus import parse_bus, parse_function_queue
from socket_host.lease import parse_leases
from socket_host.metrics import parse_namespace
from socket_host.origin import parse_origins

TRANSPORTS = ("fast", "stock")


@dataclass(frozen=True)
class Settings:
    """The host's settings.

    Without a secret, clients need no session, and without origins, pages of every origin may
    connect. That is for tests and benchmarks, and cannot be set in the environment. `own` has the
    values of the settings declared in functions/model/settings.py.
    """

    session_secret: str | None = field(repr=False)
    origins: tuple[str, ...] | None
    bus: str = field(default="local", repr=False)  # may contain a password
    bus_password: str = field(default="", repr=False)  # of Redis or Valkey, if `bus` has none
    function_queue: str = ""  # with Redis or Valkey: the URL of the queue of functions' emits
    bind: str = "127.0.0.1"
    port: int = 3200  # 0 lets the system choose
    ping_interval: float = 25  # seconds; shorter than the idle timeout of every proxy on the way
    ping_timeout: float = 20  # seconds
    max_payload: int = 100_000  # bytes of one packet
    max_connections: int = 20_000
    max_per_address: int = 1_000  # connections of one client address; 0: no limit
    max_per_visitor: int = 50  # connections of one visitor; 0: no limit
    proxies: int = 0  # in front of the host, trusted to report the client's address
    events_per_second: float = 50  # of one client, on average
    event_burst: int = 100  # events of one client at once
    fanout_bytes_per_second: float = 1_000_000  # of one visitor's events, times recipients
    room_bytes_per_second: float = 4_000_000  # sent to a room, times recipients
    drain_seconds: float = 10  # to disconnect clients in; well below the container's stop timeout
    recovery_seconds: float = 120  # for which a dropped client may resume; 0: no recovery
    transport: str = "fast"
    metric_namespace: str = ""  # CloudWatch's, of the host's metrics; empty: they are not written
    ecs_metadata: str = ""  # the URL of the ECS task's metadata; empty outside ECS
    leases: str = "sqlite:.sidepath/leases.sqlite3"
    # They sign no new tokens, but the tokens that they have signed are still valid.
    former_secrets: tuple[str, ...] = field(default=(), repr=False)
    own: Mapping[str, Any] = field(default_factory=dict, repr=False)  # may contain secrets

    @classmethod
    def from_environ(cls, environ: Mapping[str, str], declared: Sequence[Setting] = ()) -> Self:
        """Return the settings in an environment; raise SettingError listing every problem."""
        read = _Reader(environ)
        secret, *former = read.secrets()
        settings = cls(
            session_secret=secret,
            former_secrets=tuple(former),
            origins=read.origins(),
            bus=read.bus("local"),
            bus_password=read.text("BUS_PASSWORD", ""),
            function_queue=read.function_queue(),
            bind=read.text("BIND", cls.bind),
            port=read.whole("PORT", cls.port, 0, 65_535),
            ping_interval=read.number("PING_INTERVAL", cls.ping_interval, 0.1, 3_600, "of seconds"),
            ping_timeout=read.number("PING_TIMEOUT", cls.ping_timeout, 0.1, 3_600, "of seconds"),
            max_payload=read.whole("MAX_PAYLOAD", cls.max_payload, 1_000, 100_000_000, "of bytes"),
            max_connections=read.whole("MAX_CONNECTIONS", cls.max_connections, 1, 1_000_000),
            max_per_address=read.whole("MAX_PER_ADDRESS", cls.max_per_address, 0, 1_000_000),
            max_per_visitor=read.whole("MAX_PER_VISITOR", cls.max_per_visitor, 0, 1_000_000),
            proxies=read.whole("PROXIES", cls.proxies, 0, 10),
            events_per_second=read.number(
                "EVENTS_PER_SECOND", cls.events_per_second, 0.1, 1_000_000
            ),
            event_burst=read.whole("EVENT_BURST", cls.event_burst, 1, 1_000_000),
            fanout_bytes_per_second=read.number(
                "FANOUT_BYTES_PER_SECOND",
                cls.fanout_bytes_per_second,
                1_000,
                1e12,
                "of bytes",
            ),
            room_bytes_per_second=read.number(
                "ROOM_BYTES_PER_SECOND", cls.room_bytes_per_second, 1_000, 1e12, "of bytes"
            ),
            drain_seconds=read.number("DRAIN_SECONDS", cls.drain_seconds, 0, 3_600, "of seconds"),
            recovery_seconds=read.number(
                "RECOVERY_SECONDS", cls.recovery_seconds, 0, 3_600, "of seconds"
            ),
            transport=read.one_of("TRANSPORT", cls.transport, TRANSPORTS),
            metric_namespace=read.metric_namespace(),
            ecs_metadata=read.text("ECS_CONTAINER_METADATA_URI_V4", ""),
            leases=read.leases(cls.leases),
            own=read.own(declared),
        )
        if read.problems:
            raise SettingError(" ".join(read.problems))
        return settings


class _Reader:
    """Reads settings from an environment and collects problems."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.problems: list[str] = []

    def text(self, name: str, default: str) -> str:
        return framework_setting(self._environ, name) or default  # empty counts as not set

    def one_of(self, name: str, default: str, choices: tuple[str, ...]) -> str:
        text = self.text(name, default)
        if text not in choices:
            self.problems.append(f"{name} must be {' or '.join(choices)}, not {text!r}.")
        return text

    def whole(self, name: str, default: int, low: int, high: int, unit: str = "") -> int:
        return int(self._within(int, name, default, low, high, f"a whole number {unit}".strip()))

    def number(self, name: str, default: float, low: float, high: float, unit: str = "") -> float:
        return self._within(float, name, default, low, high, f"a number {unit}".strip())

    def _within(
        self, kind: type[float], name: str, default: float, low: float, high: float, what: str
    ) -> float:
        text = self.text(name, str(default))
        try:
            value = kind(text)
            if low <= value <= high:
                return value
        except ValueError:
            pass
        self.problems.append(f"{name} must be {what} from {low:,} to {high:,}, not {text!r}.")
        return default

    def secrets(self) -> tuple[str, ...]:
        text = self.text("SESSION_SECRET", "")
        stage = self.one_of("STAGE", "production", ("production", "development"))
        try:
            return parse_secrets(text, development=stage == "development")
        except ValueError as error:
            self.problems.append(f"SESSION_SECRET {error}.")
            return ("",)

    def own(self, declared: Sequence[Setting]) -> Mapping[str, Any]:
        values, problems = read_settings(declared, "host", self._environ)
        self.problems += problems
        return values

    def bus(self, default: str) -> str:
        text = self.text("BUS", default)
        try:
            parse_bus(text)
        except ValueError as error:
            self.problems.append(f"BUS {error}.")
        return text

    def function_queue(self) -> str:
        text = self.text("FUNCTION_QUEUE", "")
        try:
            return text and parse_function_queue(text, self.text("BUS", "local"))
        except ValueError as error:
            self.problems.append(f"FUNCTION_QUEUE {error}.")
            return ""

    def metric_namespace(self) -> str:
        text = self.text("METRIC_NAMESPACE", "")
        try:
            return text and parse_namespace(text)
        except ValueError as error:
            self.problems.append(f"METRIC_NAMESPACE {error}.")
            return ""

    def leases(self, default: str) -> str:
        text = self.text("LEASES", default)
        try:
            parse_leases(text)
        except ValueError as error:
            self.problems.append(f"LEASES {error}.")
        return text

    def origins(self) -> tuple[str, ...]:
        try:
            return parse_origins(self.text("PUBLIC_ORIGIN", ""))
        except ValueError as error:
            self.problems.append(f"PUBLIC_ORIGIN {error}.")
            return ()
