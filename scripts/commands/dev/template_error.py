"""How values are taken out of a template, and what is said where they are not there."""

from math import isfinite
from typing import Any


class TemplateError(Exception):
    """The template cannot be used; the text says what is wrong in it and what may stand there."""


def section(holder: Any, key: str, whose: str) -> dict[str, Any]:
    """Return what stands under a key, if it is a mapping, or raise TemplateError."""
    found = holder.get(key) if isinstance(holder, dict) else None
    if not isinstance(found, dict):
        raise TemplateError(f"{whose} has no {key}.")
    return found


def number(value: Any, what: str) -> float:
    """Return a value as a number, or raise TemplateError."""
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        found = float("nan")
    if not isfinite(found) or found < 0:
        raise TemplateError(f"{what} must be a number here, not {value!r}.")
    return found
