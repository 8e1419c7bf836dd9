"""Announcements: messages from functions to every host, and the methods that subscribe to them."""

import asyncio
import inspect
import logging
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

from functions.contract.bus import APP
from functions.contract.setting import StartError
from socket_host.bus import Bus
from socket_host.event_error import EventError
from socket_host.handlers import Handler

F = TypeVar("F", bound=Callable[..., Coroutine[Any, Any, object]])

MAX_WAITING = 1_000  # announcements on one subject; further ones are dropped

_log = logging.getLogger(__name__)


def subscribe(subject: str) -> Callable[[F], F]:
    """Call an async method with each announcement that `emitter.announce` sends on a subject.

    It is called on every host, in order, one announcement at a time; the body is checked against
    the method's annotation. A misuse is a StartError when the host starts.
    """
    if callable(subject):  # `@subscribe` without parentheses
        return subscribe("")(subject)

    def mark(method: F) -> F:
        method.subject = subject  # type: ignore[attr-defined]  # functions take any attribute
        return method

    return mark


class Subscription:
    """A method that subscribes to announcements, and its queue."""

    def __init__(self, bus: Bus, subject: str, method: Callable[..., Any]) -> None:
        self._subject = subject
        self._method = method
        self._handler = Handler(method, takes_sid=False)
        self._waiting: asyncio.Queue[Any] = asyncio.Queue(MAX_WAITING)
        bus.subscribe(APP + subject, lambda host, body: self._put(body))

    async def hear(self) -> None:
        """Call the method with each announcement; log errors."""
        while True:
            body = await self._waiting.get()
            try:
                await self._method(*self._handler.read([body]))
            except EventError as error:
                _log.error("An announcement of %r has the wrong type: %s", self._subject, error)
            except Exception:
                _log.exception("The subscriber to %r failed.", self._subject)

    def _put(self, body: Any) -> None:
        try:
            self._waiting.put_nowait(body)
        except asyncio.QueueFull:
            _log.error("Too many announcements of %r are waiting: dropped one.", self._subject)


def subscriptions(namespace: object, bus: Bus) -> Iterator[tuple[str, Subscription]]:
    """Yield the subscriptions of a namespace's methods, by name; may raise StartError."""
    for name in dir(type(namespace)):
        if not hasattr(getattr(type(namespace), name), "subject"):
            continue
        method, where = getattr(namespace, name), f"{type(namespace).__name__}.{name}"
        subject = method.subject
        if not isinstance(subject, str) or not subject:
            raise StartError(f'{where} needs the subject that it subscribes to: @subscribe("…").')
        if not inspect.iscoroutinefunction(method) or not _takes_one(method):
            raise StartError(f"{where} must be async, and take the body of an announcement.")
        try:
            yield name, Subscription(bus, subject, method)
        except (TypeError, NameError) as error:
            raise StartError(f"The annotations of {where} cannot be used: {error}.") from error


def _takes_one(method: Callable[..., Any]) -> bool:
    return len(inspect.signature(method).parameters) == 1
