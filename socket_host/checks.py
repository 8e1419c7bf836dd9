"""Checks of namespace classes, to report mistakes in one sentence at the start."""

import inspect
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from functions.contract.setting import StartError
from socket_host.marks import check_functions
from socket_host.namespace import Namespace
from socket_host.settings import Settings

_WHERE = "socket_host/events/__init__.py: `namespaces`"

_NAME = re.compile(r"/[^,?\s]*")  # what a client can send

# The methods that the host calls: their arguments, and whether they are awaited.
_HOOKS = {
    "admit": (("sid", "environ", "auth"), False),
    "may_join": (("sid", "room"), False),
    "on_connect": (("sid", "environ", "auth"), True),
    "on_recover": (("sid",), True),
    "on_disconnect": (("sid", "reason"), True),
}


def make_namespaces(kinds: Sequence[type[Namespace]], settings: Settings) -> list[Namespace]:
    """Return an instance of each class; raise StartError for one that cannot be a namespace."""
    if not isinstance(kinds, list | tuple):
        raise StartError(f"{_WHERE} must be a list of classes, such as [Chat], not {kinds!r}.")
    made = [_make(kind, settings) for kind in kinds]
    check_functions(kinds)
    for name, count in Counter(each.namespace for each in made).items():
        if count > 1:
            twice = " and ".join(type(each).__name__ for each in made if each.namespace == name)
            raise StartError(f"{_WHERE} has two namespaces named {name!r}: {twice}.")
    return made


def _make(kind: Any, settings: Settings) -> Namespace:
    if not isinstance(kind, type) or not issubclass(kind, Namespace):
        raise StartError(
            f"{_WHERE} must be a list of classes that derive from Namespace, not {kind!r}."
        )
    _check(kind)
    constructor = (
        f"{kind.__name__}.__init__ must take `settings` and pass it to super().__init__(settings); "
        "open connections and files in `lifespan`."
    )
    try:
        inspect.signature(kind).bind(settings)
    except TypeError:
        raise StartError(constructor) from None
    made: Namespace = kind(settings)
    if getattr(made, "settings", None) is not settings:
        raise StartError(constructor)
    return made


def _check(kind: type[Namespace]) -> None:
    name: object = kind.namespace
    volatile: Any = kind.volatile
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise StartError(
            f"{kind.__name__}.namespace must be a name such as '/chat', without commas and "
            f"question marks, not {name!r}."
        )
    if isinstance(volatile, str) or not all(isinstance(each, str) for each in volatile):
        raise StartError(
            f"{kind.__name__}.volatile must be a set of names, such as frozenset({{'tick'}}), "
            f"not {volatile!r}."
        )
    for hook, (arguments, awaited) in _HOOKS.items():
        _check_hook(getattr(kind, hook), f"{kind.__name__}.{hook}", arguments, awaited=awaited)


def _check_hook(method: Any, where: str, arguments: tuple[str, ...], *, awaited: bool) -> None:
    if inspect.iscoroutinefunction(inspect.unwrap(method)) != awaited:
        must = "must be" if awaited else "is not awaited, so it must not be"
        raise StartError(f"{where} {must} an `async def`.")
    try:
        inspect.signature(method).bind("self", *arguments)
    except TypeError:
        raise StartError(f"{where} must take {', '.join(('self', *arguments))}.") from None
