"""The stack's parameters, checked before anything begins.

CloudFormation checks each by itself, after the image is built; together it does not check them at
all, and the service that minds does so after ten minutes.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

Declared = Mapping[str, Mapping[str, Any]]  # a template's Parameters


def option(name: str) -> str:
    """Return the option of scripts/deploy that gives a parameter."""
    return "--" + re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()


def defaults(declared: Declared) -> dict[str, str]:
    """Return what parameters are where nobody says anything else."""
    return {name: str(p["Default"]) for name, p in declared.items() if "Default" in p}


def refusals(declared: Declared, given: Mapping[str, str]) -> list[str]:
    """Return a sentence for each value that its own declaration forbids."""
    return [
        f"{option(name)} {value} is refused: {why}"
        for name, value in given.items()
        if (why := _refusal(declared[name], value))
    ]


def conflicts(values: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence for each two of all values that do not go together."""
    low, high = values["MinHosts"], values["MaxHosts"]
    if int(low) > int(high):
        yield (
            f"--min-hosts {low} is more than --max-hosts {high}. What is not given stays as the "
            "stack has it; give both."
        )
    if values["Domain"] and not values["Certificate"]:
        yield (
            "--domain needs --certificate, the ARN of a certificate for it in us-east-1. "
            "docs/deploy.md says how to get one."
        )
    if values["Certificate"] and not values["Domain"]:
        yield "--certificate needs --domain, the domain name it is for."


def _refusal(declared: Mapping[str, Any], value: str) -> str | None:
    """Return what a declaration has against a value, if anything."""
    if declared["Type"] == "Number":
        low, high = declared["MinValue"], declared["MaxValue"]
        fits = re.fullmatch(r"-?\d{1,9}", value) and low <= int(value) <= high
        return None if fits else f"it has to be a number from {low} to {high}."
    if (allowed := declared.get("AllowedValues")) and value not in allowed:
        return f"it has to be {' or '.join(allowed)}."
    if len(value) > declared.get("MaxLength", 4096):
        return f"it may have {declared['MaxLength']} characters."
    if not re.fullmatch(declared.get("AllowedPattern", ".*"), value):
        return f"it has to be {_lower(declared['ConstraintDescription'])}"
    return None


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
