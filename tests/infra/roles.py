"""The permissions of the template's roles."""

from collections.abc import Iterator
from typing import Any

from tests.infra.templates import Json, of_kind, properties


def statements(template: Json, role: str) -> Iterator[Json]:
    beside = of_kind(template, "AWS::IAM::Policy").values()
    for policy in [
        *properties(template, role)["Policies"],
        *(policy for policy in beside if {"Ref": role} in policy["Roles"]),
    ]:
        yield from policy["PolicyDocument"]["Statement"]


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def allowed(template: Json, role: str) -> set[str]:
    return {action for s in statements(template, role) for action in listed(s["Action"])}
