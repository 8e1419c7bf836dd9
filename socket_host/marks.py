"""Marks, which the decorators `event`, `every`, `subscribe` and `large_answer` add to methods.

An override keeps the marks of the method that it overrides, except for those that it replaces.
"""

import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, TypeGuard, TypeVar

from functions.contract.setting import StartError


class Mark:
    """A decorator's record of its arguments; `decorator` is its name in error messages."""

    decorator: ClassVar[str]


F = TypeVar("F", bound=Callable[..., Any])
M = TypeVar("M", bound=Mark)


def add_mark(method: F, mark: Mark) -> F:
    """Add a mark to a method, and return the method."""
    function: Any = _function(method)
    function.marks = (*_marks(method), mark)
    return method


def is_method(argument: object) -> TypeGuard[Callable[..., Any]]:
    """Whether a decorator's argument is a method: it was used without parentheses."""
    return callable(argument) or hasattr(argument, "__get__")  # such as a class method


def marked(kind: type, sort: type[M]) -> Iterator[tuple[str, M]]:
    """Yield the names and marks of a class's methods that have a mark of one kind."""
    for name in dir(kind):
        if (mark := find_mark(kind, name, sort)) is not None:
            yield name, mark


def find_mark(kind: type, name: str, sort: type[M]) -> M | None:
    """Return a method's mark of one kind, or None."""
    return next((mark for mark in _all_marks(kind, name) if isinstance(mark, sort)), None)


def check_marks(kind: type, base: type) -> None:
    """Raise StartError for marks in a class that have no effect or contradict each other.

    The methods of `base` are the framework's and cannot be marked.
    """
    for name in dir(kind):
        words = sorted({mark.decorator for mark in _all_marks(kind, name)})
        if not words:
            continue
        where = f"{kind.__name__}.{name}"
        if not inspect.isroutine(getattr(kind, name)):
            raise StartError(f"{where} has {words[0]}, but is not a method.")
        if hasattr(base, name):
            raise StartError(f"{where} has {words[0]}, but is a method of {base.__name__}.")
        if repeated := _repeated(kind, name):
            raise StartError(f"{where} has {repeated} twice. Write a method for each.")
        if name.startswith("on_"):
            words = sorted({*words, "@event"})
        if len(words) > 1 and words != ["@event", "@large_answer"]:
            raise StartError(f"{where} cannot have {_and(name, words)}. Write a method for each.")
        if words == ["@large_answer"]:
            raise StartError(f"{where} has @large_answer, but handles no event.")


def check_functions(kinds: Sequence[type]) -> None:
    """Raise StartError for a marked function of these classes' modules that no class has."""
    bases = {base for kind in kinds for base in kind.__mro__}
    methods = {id(_function(value)) for base in bases for value in vars(base).values()}
    for module in sorted({base.__module__ for base in bases}):
        for name, value in inspect.getmembers(sys.modules.get(module), inspect.isfunction):
            marks = _marks(value) if value.__module__ == module else ()
            if marks and id(value) not in methods:
                raise StartError(
                    f"{module}.{name} has {marks[0].decorator}, which has an effect only on a "
                    "method of a namespace."
                )


def _function(method: Any) -> Any:
    """Return the function within a descriptor such as a static method or a property."""
    if isinstance(method, staticmethod | classmethod):
        return _function(method.__func__)
    return method.fget if isinstance(method, property) else method


def _marks(method: Any) -> tuple[Mark, ...]:
    marks = getattr(_function(method), "marks", ())
    return tuple(mark for mark in marks if isinstance(mark, Mark)) if type(marks) is tuple else ()


def _all_marks(kind: type, name: str) -> Iterator[Mark]:
    """Yield a method's marks, its own before those of the methods that it overrides."""
    for base in kind.__mro__:
        if name in vars(base):
            if vars(base)[name] is None:  # Python's way to disable an inherited method
                return
            yield from _marks(vars(base)[name])


def _repeated(kind: type, name: str) -> str:
    """Return which decorator a method itself has more than once, if any."""
    own = [mark.decorator for mark in _marks(inspect.getattr_static(kind, name))]
    return next((word for word in own if own.count(word) > 1), "")


def _and(name: str, words: Sequence[str]) -> str:
    """Return a phrase that names a method's decorators; a name with on_ counts as @event."""
    if name.startswith("on_") and "@event" in words:
        others = [word for word in words if word != "@event"]
        return f"{' and '.join(others)}: its name makes it the handler of an event"
    return f"both {' and '.join(words)}"
