"""Reads values from a template, with errors that name what is missing or wrong."""

from math import isfinite
from typing import Any


class TemplateError(Exception):
    """The template cannot be used; the text says what is wrong and what is allowed."""


def section(holder: Any, key: str, whose: str) -> dict[str, Any]:
    """Return the mapping under a key, or raise TemplateError."""
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
