"""The handlers of a namespace: finds them, checks their arguments, and limits their rate."""

import asyncio
import inspect
import math
import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar, get_type_hints

from functions.contract.bus import RESERVED_EVENTS
from functions.contract.payload import PayloadError, check_type, parse
from functions.contract.session import Session
from functions.contract.setting import StartError
from socket_host.event_error import EventError
from socket_host.marks import Mark, add_mark, find_mark, is_method
from socket_host.transport.bucket import Bucket
from socket_host.transport.memory import size_of
from socket_host.visitors import Client

_F = TypeVar("_F", bound=Callable[..., Any])

_UNITS = {"s": 1, "m": 60, "h": 3_600}  # seconds

_MOST_LARGE = 4  # events of one client that may wait for their large answers
_LONGEST_WAITING = 1 << 14  # bytes of memory that the values of each may take

_SINGLE = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)

# For these types, comparing the type of a value is a sufficient check.
_EXACT = (str, bytes, int, float, bool, list, dict)

# Returned, not raised: see limits.
_TOO_OFTEN = EventError("You are sending this too often. Wait a little.", reason="rate", retry=True)


@dataclass(frozen=True)
class Limit:
    """How often a client may send an event: up to `burst` at once, and `rate` a second."""

    rate: float
    burst: int

    @classmethod
    def parse(cls, text: str) -> "Limit":
        """Read `5/s`, `30/m` or `100/h`; raises ValueError."""
        found = re.fullmatch(r"([1-9][0-9]{0,5})/([smh])", text) if type(text) is str else None
        if found is None:
            raise ValueError(f"a limit must look like 5/s, 30/m or 100/h, not {text!r}")
        number = int(found[1])
        return cls(number / _UNITS[found[2]], number)


@dataclass(frozen=True)
class _Event(Mark):
    """The arguments that `event` was called with."""

    decorator = "@event"
    name: str | None = None
    limit: str | None = None
    claim: str | None = None

    def check(self) -> None:
        """Raise ValueError if the declaration cannot be used."""
        if self.name is not None and not (isinstance(self.name, str) and self.name):
            raise ValueError(f"the name of an event must be a string, not {self.name!r}")
        if self.name in RESERVED_EVENTS:
            raise ValueError(f"{self.name!r} is reserved by Socket.IO, so no client can send it")
        claim = self.claim
        if claim is not None and not (isinstance(claim, str) and claim.strip()):
            raise ValueError(
                f"a claim must be a name, or a name and value like 'role=editor', not {claim!r}"
            )


def event(
    name: str | None = None, *, limit: str | None = None, claim: str | None = None
) -> Callable[[_F], _F]:
    """Make a method the handler of an event, and optionally limit who may send it and how often.

    Without a name, the event is named after the method, such as `on_input_change`. `limit` is per
    client, such as `5/s`, `30/m` or `100/h`; a client may also send that many at once. `claim` is
    what the client's session must have, in the form that `Session.has` takes.

    A misuse is a StartError when the host starts.
    """
    if is_method(name):  # `@event` without parentheses
        return event()(name)
    return lambda method: add_mark(method, _Event(name, limit, claim))


class _LargeAnswer(Mark):
    decorator = "@large_answer"


def large_answer(method: _F) -> _F:
    """Mark a handler whose acks can be large.

    For each client, such handlers run one at a time, each once the client has read what it was sent
    before. For a client that has gone, they do not run.
    """
    return add_mark(method, _LargeAnswer())


class Handler:
    """A handler method and its parameters."""

    __slots__ = (
        "_claim",
        "_exact",
        "_kinds",
        "_reads",
        "fewest",
        "large",
        "limit",
        "method",
        "most",
        "plain",
    )

    def __init__(
        self,
        method: Callable[..., Any],
        declared: _Event | None = None,
        *,
        large: bool = False,
        takes_sid: bool = True,
    ) -> None:
        """Inspect the method's parameters, of which the first is the sid if `takes_sid`.

        Raises ValueError, TypeError or NameError for a method that cannot be a handler.
        """
        declared = declared or _Event()
        declared.check()
        self.method = method
        self.limit = None if declared.limit is None else Limit.parse(declared.limit)
        self._claim = declared.claim
        self.large = large
        parameters = _parameters(method, takes_sid)
        self.fewest = sum(p.default is p.empty and p.kind in _SINGLE for p in parameters)
        several = any(p.kind is p.VAR_POSITIONAL for p in parameters)
        self.most = math.inf if several else sum(p.kind in _SINGLE for p in parameters)
        self._kinds = _kinds(method, parameters)
        self._reads = any(kind is not Any for _, kind in self._kinds)
        # The types of the values if comparing them is enough; else None.
        kinds = tuple(kind for _, kind in self._kinds)
        self._exact = kinds if all(kind in _EXACT for kind in kinds) else None
        self.plain = not self._reads and self._claim is None  # accepts any values from any visitor

    @property
    def takes(self) -> str:
        """A phrase for the number of values that an event must have."""
        if self.most == self.fewest:
            return "1 value" if self.most == 1 else f"{self.most or 'no'} values"
        if self.most == math.inf:
            return f"{self.fewest} values or more"
        return f"{self.fewest} to {self.most} values"

    def check(self, session: Session, values: list[Any]) -> list[Any]:
        """Return the values converted to the types of the method's annotations.

        Raises EventError for values that do not fit, and for a visitor without the required claim.
        """
        if self._claim is not None and not session.has(self._claim):
            raise EventError("You may not do this.", reason="claim")
        return self.read(values)

    def read(self, values: list[Any]) -> list[Any]:
        """Return the values converted to the annotated types; raises EventError for others."""
        if tuple(map(type, values)) == self._exact:
            return values
        if not self.fewest <= len(values) <= self.most:
            raise EventError(f"This event takes {self.takes}, not {len(values)}.")
        if not self._reads:
            return values
        last = self._kinds[-1]
        kinds = self._kinds + [last] * (len(values) - len(self._kinds))
        return [
            _read(name, kind, value) for (name, kind), value in zip(kinds, values, strict=False)
        ]

    def check_size(self, values: list[Any]) -> None:
        """Raise EventError for values that are too long to wait for a large answer."""
        if size_of(values, _LONGEST_WAITING) > _LONGEST_WAITING:
            raise EventError("This event is too long. Send less with it.", reason="size")

    def excess(self, client: Client) -> EventError | None:
        """Count an event of a client; return an error if the client sends it too often."""
        limit = self.limit
        if limit is None:
            return None
        if client.buckets is None:
            client.buckets = {}
        bucket = client.buckets.get(self)
        if bucket is None:
            bucket = client.buckets[self] = Bucket(limit.rate, limit.burst)
        return None if bucket.take() else _TOO_OFTEN

    async def in_turn(
        self, client: Client, read: Callable[[], Awaitable[bool]], sid: str, values: list[Any]
    ) -> Any:
        """Handle an event once the client has read the answers to earlier ones.

        `read` waits for that, and returns whether the client is still connected.
        """
        if client.large > _MOST_LARGE:
            raise EventError(
                "Wait for the answers to your earlier events.", reason="waiting", retry=True
            )
        client.large += 1
        client.turn = client.turn or asyncio.Lock()
        try:
            async with client.turn:
                if not await read():
                    return None
                answer = self.method(sid, *values)
                return await answer if hasattr(answer, "__await__") else answer
        finally:
            client.large -= 1
            if not client.large:
                client.turn = None


def find_handlers(namespace: object, hooks: type) -> dict[str, Handler]:
    """Return the handlers of a namespace by the names of their events.

    Methods that `hooks` also has are not handlers. Raises StartError if two methods handle the same
    event, or if one has parameters that no event can fill.
    """
    kind = type(namespace)
    found: dict[str, Handler] = {}
    for attribute in dir(kind):
        declared = find_mark(kind, attribute, _Event)
        named = attribute.startswith("on_") and not hasattr(hooks, attribute)
        if not callable(getattr(kind, attribute)) or not (named or declared):
            continue
        where = f"{kind.__name__}.{attribute}"
        names = list(_names(attribute, declared, where))
        large = find_mark(kind, attribute, _LargeAnswer) is not None
        handler = _handler(getattr(namespace, attribute), declared, where, large=large)
        for name in names:
            if name in found:
                raise StartError(f"{where} handles {name!r}, but so does another method.")
            found[name] = handler
    return found


def _names(attribute: str, declared: _Event | None, where: str) -> Iterator[str]:
    """Return the names under which a method's event can be sent."""
    if declared is not None and declared.name is not None:
        yield declared.name
        return
    if not attribute.startswith("on_"):
        raise StartError(f'{where} needs the name of its event: @event("…").')
    name = attribute.removeprefix("on_")
    yield name
    if "_" in name:
        yield name.replace("_", "-")


def _handler(
    method: Callable[..., Any], declared: _Event | None, where: str, *, large: bool
) -> Handler:
    try:
        return Handler(method, declared, large=large)
    except ValueError as error:
        raise StartError(f"{where}: {error}.") from None
    except (TypeError, NameError) as error:
        raise StartError(f"The annotations of {where} cannot be used: {error}.") from error


def _parameters(method: Callable[..., Any], takes_sid: bool) -> list[inspect.Parameter]:
    """Return the parameters for values; raises ValueError if a client cannot call the method."""
    parameters = list(inspect.signature(method).parameters.values())
    for one in parameters:
        if one.kind is one.KEYWORD_ONLY and one.default is one.empty:
            raise ValueError(f"`{one.name}` is keyword-only, but an event's values have no names")
    if not takes_sid or [p.kind for p in parameters[:1]] == [inspect.Parameter.VAR_POSITIONAL]:
        return parameters
    if not parameters or parameters[0].kind not in _SINGLE:
        raise ValueError("the first argument after `self` must be the client's sid")
    return parameters[1:]


def _kinds(
    method: Callable[..., Any], parameters: list[inspect.Parameter]
) -> list[tuple[str, Any]]:
    """Return the name and type of each value; Any for those that are not annotated."""
    hints = get_type_hints(method)
    single = (*_SINGLE, inspect.Parameter.VAR_POSITIONAL)
    kinds = [(p.name, hints.get(p.name, Any)) for p in parameters if p.kind in single]
    for _, kind in kinds:
        check_type(kind, binary=True)
    return [(name, Any if kind is object else kind) for name, kind in kinds]


def _read(name: str, kind: Any, value: Any) -> Any:
    if kind is Any:
        return value
    try:
        return parse(kind, value, binary=True)
    except PayloadError as error:
        field, detail = error.problems[0]
        text = f"`{field or name}` {detail}."
        raise EventError(text, field=field or name) from None
