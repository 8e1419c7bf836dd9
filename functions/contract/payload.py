"""Payloads: data from outside, read into a dataclass or a pydantic model.

The data is JSON, or the arguments of an event, which may contain bytes.
"""

import dataclasses
import types
from collections.abc import Sequence
from functools import cache
from typing import Any, Literal, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")

MOST_PROBLEMS = 20  # reported for one payload

_PLAIN = {
    str: "a string",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    bytes: "binary data",
}

# Types without parts that need a check of their own.
_WHOLE = (Any, object, None, type(None), list, dict, *_PLAIN)


class Problem(NamedTuple):
    """What is wrong with a field, named like `lines.0.price`; "" is the whole payload."""

    field: str
    detail: str


class PayloadError(ValueError):
    """The data does not fit the model; the text says what is wrong, field by field."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(" ".join(f"{field or 'It'} {detail}." for field, detail in problems))
        self.problems = list(problems)


def parse(model: type[T], data: object, *, binary: bool = False) -> T:
    """Return data from JSON, or if `binary` from an event, as an instance of a model.

    A model is a dataclass of strings, numbers, booleans, None, Literal, lists, dicts with string
    keys, and other such models; with `binary` also of bytes. Its `__post_init__` may raise
    ValueError. A field may have a union type such as `str | None`, with at most one object type and
    one list type. Fields that the model does not have are ignored. Anything with pydantic's
    `model_validate` is a model too.

    Raises PayloadError, and TypeError for a model with other types.
    """
    value: T
    if _is_pydantic(model):
        value = _validated(model, data)
        return value
    if not binary:
        check_type(model)
    problems: list[Problem] = []
    try:
        value = _read(model, data, "", problems)
    except RecursionError:
        raise PayloadError([Problem("", "is nested too deeply")]) from None
    if problems:
        raise PayloadError(problems)
    return value


def check_type(kind: Any, *, binary: bool = False) -> None:
    """Raise TypeError for a type that `parse` cannot read, before there is anything to read."""
    _check_type(kind, binary, set())


def _check_type(kind: Any, binary: bool, seen: set[Any]) -> None:
    origin = get_origin(kind)
    inner: tuple[Any, ...] = get_args(kind)
    if kind is bytes and not binary:
        raise TypeError(f"{kind!r} cannot be part of a JSON payload: only events can have bytes")
    if kind in _WHOLE or origin is Literal or _is_pydantic(kind) or kind in seen:
        return
    if dataclasses.is_dataclass(kind):
        seen.add(kind)
        inner = _field_types(kind)
    elif origin not in (list, dict, Union, types.UnionType):
        raise TypeError(f"{kind!r} is not supported as the type of a payload")
    elif origin is dict and inner[0] not in (str, Any):
        raise TypeError(f"the keys of {kind!r} must be str, as in JSON")
    elif origin in (Union, types.UnionType):
        _check_union(kind, inner)
    for one in inner:
        _check_type(one, binary, seen)


def _check_union(kind: Any, kinds: tuple[Any, ...]) -> None:
    # Trying one after another would take exponential time in the depth of the data.
    objects, lists = (sum(_fits(one, data()) for one in kinds) for data in (dict, list))
    if objects > 1 or lists > 1:
        raise TypeError(f"more than one type of {kind} is an object, or a list")


def _is_pydantic(kind: Any) -> bool:
    return hasattr(kind, "model_validate")


def _validated(model: Any, data: object) -> Any:
    """Return data as an instance of a pydantic model; raise PayloadError."""
    try:
        return model.model_validate(data)
    except ValueError as error:
        found: list[Any] = getattr(error, "errors", list)()[:MOST_PROBLEMS]
        problems = [
            Problem(".".join(map(str, one.get("loc", ()))), f"is wrong: {one.get('msg', error)}")
            for one in found
        ]
        raise PayloadError(problems or [Problem("", f"is wrong: {error}")]) from None


def _note(problems: list[Problem], at: str, detail: str) -> None:
    problems.append(Problem(at, detail))
    if len(problems) >= MOST_PROBLEMS:
        raise PayloadError(problems)


def _read(kind: Any, data: Any, at: str, problems: list[Problem]) -> Any:
    """Return data as a kind of value; add what is wrong with it to the problems."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return _read_union(arguments, data, at, problems)
    if not _fits(kind, data):
        _note(problems, at, f"must be {_described(kind)}")
    elif _is_pydantic(kind):
        return _read_pydantic(kind, data, at, problems)
    elif dataclasses.is_dataclass(kind):
        return _read_fields(kind, data, at, problems)
    elif origin is list:
        item = arguments[0]
        return [_read(item, one, _join(at, n), problems) for n, one in enumerate(data)]
    elif origin is dict:
        item = arguments[1]
        return {name: _read(item, one, _join(at, name), problems) for name, one in data.items()}
    elif kind is float:
        return _read_number(data, at, problems)
    return data


def _read_pydantic(kind: Any, data: Any, at: str, problems: list[Problem]) -> Any:
    try:
        return _validated(kind, data)
    except PayloadError as error:
        for field, detail in error.problems:
            _note(problems, _join(at, field) if field else at, detail)
    return None


def _read_number(data: float, at: str, problems: list[Problem]) -> float:
    try:
        return float(data)
    except OverflowError:
        _note(problems, at, "is too large")
    return 0.0


def _read_fields(kind: Any, data: dict[str, Any], at: str, problems: list[Problem]) -> Any:
    before, values = len(problems), {}
    for name, type_, required in _fields(kind):
        if name in data:
            values[name] = _read(type_, data[name], _join(at, name), problems)
        elif required:
            _note(problems, _join(at, name), "is missing")
    if len(problems) == before:
        try:
            return kind(**values)
        except ValueError as error:
            _note(problems, at, str(error).rstrip("."))
    return None


def _read_union(kinds: tuple[Any, ...], data: Any, at: str, problems: list[Problem]) -> Any:
    fitting = [kind for kind in kinds if _fits(kind, data)]
    if fitting:
        return _read(fitting[0], data, at, problems)
    _note(problems, at, f"must be {' or '.join(map(_described, kinds))}")
    return None


@cache
def _fields(kind: type[Any]) -> tuple[tuple[str, Any, bool], ...]:
    """Return the name and type of each field, and whether it is required."""
    hints = get_type_hints(kind)
    missing = dataclasses.MISSING
    return tuple(
        (field.name, hints[field.name], field.default is field.default_factory is missing)
        for field in dataclasses.fields(kind)
        if field.init
    )


def _field_types(kind: Any) -> tuple[Any, ...]:
    return tuple(type_ for _, type_, _ in _fields(kind))


def _fits(kind: Any, data: Any) -> bool:
    """Whether data is of a kind; for objects and lists, whether it may be."""
    if kind is Any or kind is object:
        return True
    if kind is None or kind is type(None):
        return data is None
    if get_origin(kind) is Literal:
        return any(type(data) is type(one) and data == one for one in get_args(kind))
    if kind is float:
        return type(data) in (int, float)
    if kind in _PLAIN:
        return type(data) is kind
    if getattr(kind, "__pydantic_root_model__", False):
        return True
    if list in (kind, get_origin(kind)):
        return isinstance(data, list)
    if _is_object(kind):
        return isinstance(data, dict)
    raise TypeError(f"{kind!r} is not supported as the type of a payload")


def _is_object(kind: Any) -> bool:
    return dict in (kind, get_origin(kind)) or dataclasses.is_dataclass(kind) or _is_pydantic(kind)


def _described(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return " or ".join(map(repr, get_args(kind)))
    if kind is None or kind is type(None):
        return "null"
    if kind in _PLAIN:
        return _PLAIN[kind]
    if kind is Any or kind is object:
        return "anything"
    return "a list" if list in (kind, get_origin(kind)) else "an object"


def _join(at: str, name: object) -> str:
    return f"{at}.{name}" if at else str(name)
