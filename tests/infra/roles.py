"""What the template's roles may do."""

from collections.abc import Iterator
from typing import Any

from tests.infra.templates import Json, properties


def statements(template: Json, role: str) -> Iterator[Json]:
    for policy in properties(template, role)["Policies"]:
        yield from policy["PolicyDocument"]["Statement"]


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def allowed(template: Json, role: str) -> set[str]:
    return {action for s in statements(template, role) for action in listed(s["Action"])}
