"""The processor that both halves run on: the template's parameter Architecture."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PARAMETER = "Architecture"


@dataclass(frozen=True)
class Architecture:
    """A processor, and its names."""

    name: str  # Lambda's and the template's
    wheels: str  # the suffix of wheels' platform tags
    platform: str  # a container engine's


KNOWN = {
    known.name: known
    for known in (
        Architecture("arm64", "aarch64", "linux/arm64"),
        Architecture("x86_64", "x86_64", "linux/amd64"),
    )
}


def default(template: Mapping[str, Any]) -> str:
    """Return a template's default processor."""
    return str(template["Parameters"][PARAMETER]["Default"])
