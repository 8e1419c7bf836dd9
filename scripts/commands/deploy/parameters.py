"""Checks the stack's parameters before a deployment.

CloudFormation checks each one only after the image is built, and does not check combinations: an
invalid one would fail minutes later, in the service that it concerns.
"""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

Declared = Mapping[str, Mapping[str, Any]]  # a template's Parameters


def option(name: str) -> str:
    """Return the option of scripts/deploy for a parameter."""
    return "--" + re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()


def defaults(declared: Declared) -> dict[str, str]:
    """Return the parameters' default values."""
    return {name: str(p["Default"]) for name, p in declared.items() if "Default" in p}


def refusals(declared: Declared, given: Mapping[str, str]) -> list[str]:
    """Return a sentence for each value that its declaration does not allow."""
    unknown = given.keys() - declared.keys()
    return [f"infra/template.yaml has no parameter {name}." for name in sorted(unknown)] + [
        f"{option(name)} {value} is refused: {why}"
        for name, value in given.items()
        if name not in unknown and (why := _refusal(declared[name], value))
    ]


def conflicts(values: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence for each pair of values that conflict."""
    low, high = values["MinHosts"], values["MaxHosts"]
    if not (low.isdecimal() and high.isdecimal()):
        yield "--min-hosts and --max-hosts have to be whole numbers."
    elif int(low) > int(high):
        yield (
            f"--min-hosts {low} is more than --max-hosts {high}. An option that is not given keeps "
            "the stack's value; give both."
        )
    if values["Domain"] and not values["Certificate"]:
        yield (
            "--domain needs --certificate, the ARN of a certificate for it in us-east-1. "
            "docs/deploy.md says how to get one."
        )
    if values["Certificate"] and not values["Domain"]:
        yield "--certificate needs --domain, the domain name it is for."


def _refusal(declared: Mapping[str, Any], value: str) -> str | None:
    """Return why a declaration does not allow a value, or None if it does."""
    if declared["Type"] == "Number":
        return _number_refusal(declared, value)
    if (allowed := declared.get("AllowedValues")) and value not in allowed:
        return f"it must be {' or '.join(allowed)}."
    if len(value) > declared.get("MaxLength", 4096):
        return f"it may have up to {declared['MaxLength']} characters."
    if not re.fullmatch(declared.get("AllowedPattern", ".*"), value, re.DOTALL):
        means = declared.get("ConstraintDescription") or f"like {declared['AllowedPattern']}."
        return f"it must be {means[:1].lower()}{means[1:]}"
    return None


def _number_refusal(declared: Mapping[str, Any], value: str) -> str | None:
    low, high = declared.get("MinValue", -math.inf), declared.get("MaxValue", math.inf)
    try:
        number = float(value)
    except ValueError:
        return "it must be a number."
    return None if low <= number <= high else f"it must be a number from {low} to {high}."
