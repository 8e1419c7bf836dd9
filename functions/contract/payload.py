"""Payloads: JSON from outside, read into a dataclass, or a model of pydantic's where it is used."""

import dataclasses
import types
from collections.abc import Callable
from functools import cache
from typing import Any, Literal, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")

_PLAIN = {str: "a text", bool: "true or false", int: "a whole number", float: "a number"}


class Problem(NamedTuple):
    """What is wrong with a field; it is named as in `lines.0.price`, and "" is the whole."""

    field: str
    detail: str


class PayloadError(ValueError):
    """The data has another form than the model; the text says what is wrong, field by field."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__(" ".join(f"{field or 'It'} {detail}." for field, detail in problems))
        self.problems = problems


def parse(model: type[T], data: object) -> T:
    """Return data that came as JSON as an object of a model.

    A model is a dataclass of texts, numbers, booleans, None, Literal, lists, dicts with text keys,
    unions of these, and other such dataclasses; its `__post_init__` may raise ValueError. Fields
    that it does not have are ignored. Anything with pydantic's `model_validate` is a model too.

    Raises PayloadError, and TypeError for a model with other types.
    """
    validate: Callable[[object], T] | None = getattr(model, "model_validate", None)
    if validate is not None:
        return _validated(validate, data)
    problems: list[Problem] = []
    value: T = _read(model, data, "", problems)
    if problems:
        raise PayloadError(problems)
    return value


def _validated(validate: Callable[[object], T], data: object) -> T:
    try:
        return validate(data)
    except ValueError as error:
        found: list[Any] = getattr(error, "errors", list)()
        problems = [
            Problem(".".join(map(str, one.get("loc", ()))), f"is wrong: {one.get('msg', error)}")
            for one in found
        ]
        raise PayloadError(problems or [Problem("", f"is wrong: {error}")]) from None


def _read(kind: Any, data: Any, at: str, problems: list[Problem]) -> Any:
    """Return data as a kind of value; what is wrong with it is added to the problems."""
    origin, arguments = get_origin(kind), get_args(kind)
    if dataclasses.is_dataclass(kind):
        return _read_fields(kind, data, at, problems)
    if origin in (Union, types.UnionType):
        return _read_union(arguments, data, at, problems)
    if origin is list and isinstance(data, list):
        item = arguments[0]
        return [_read(item, one, _join(at, n), problems) for n, one in enumerate(data)]
    if origin is dict and isinstance(data, dict):
        item = arguments[1]
        return {name: _read(item, one, _join(at, name), problems) for name, one in data.items()}
    if not _is(kind, data):
        problems.append(Problem(at, f"must be {_described(kind)}"))
    elif kind is float:
        try:
            return float(data)
        except OverflowError:
            problems.append(Problem(at, "is too large"))
    return data


def _read_fields(kind: Any, data: Any, at: str, problems: list[Problem]) -> Any:
    if not isinstance(data, dict):
        problems.append(Problem(at, f"must be {_described(kind)}"))
        return None
    before, values = len(problems), {}
    for name, type_, required in _fields(kind):
        if name in data:
            values[name] = _read(type_, data[name], _join(at, name), problems)
        elif required:
            problems.append(Problem(_join(at, name), "is missing"))
    if len(problems) > before:
        return None
    try:
        return kind(**values)
    except ValueError as error:
        problems.append(Problem(at, str(error).rstrip(".")))
    return None


def _read_union(kinds: tuple[Any, ...], data: Any, at: str, problems: list[Problem]) -> Any:
    tried: list[list[Problem]] = []
    for kind in kinds:
        tried.append([])
        value = _read(kind, data, at, tried[-1])
        if not tried[-1]:
            return value
    # Of the one that fits best, if it is an object, else of them all.
    within = [found for found in tried if any(problem.field != at for problem in found)]
    described = " or ".join(map(_described, kinds))
    problems += within[0] if within else [Problem(at, f"must be {described}")]
    return None


@cache
def _fields(kind: type[Any]) -> tuple[tuple[str, Any, bool], ...]:
    """Return the name and type of each field, and whether it has to be there."""
    hints = get_type_hints(kind)
    missing = dataclasses.MISSING
    return tuple(
        (field.name, hints[field.name], field.default is field.default_factory is missing)
        for field in dataclasses.fields(kind)
        if field.init
    )


def _is(kind: Any, data: Any) -> bool:
    if kind is Any:
        return True
    if kind is None or kind is type(None):
        return data is None
    if get_origin(kind) is Literal:
        return any(type(data) is type(one) and data == one for one in get_args(kind))
    if kind is float:
        return type(data) in (int, float)
    if kind in _PLAIN or kind in (list, dict):
        return type(data) is kind
    if get_origin(kind) in (list, dict):
        return False  # what is one has been read
    raise TypeError(f"{kind!r} is no type of a payload")


def _described(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return " or ".join(map(repr, get_args(kind)))
    if kind is None or kind is type(None):
        return "null"
    if kind in _PLAIN:
        return _PLAIN[kind]
    return "a list" if list in (kind, get_origin(kind)) else "an object"


def _join(at: str, name: object) -> str:
    return f"{at}.{name}" if at else str(name)
