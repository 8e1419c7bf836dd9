"""Parameters that AWS would refuse late are refused at the start, each with a message."""

import argparse
import re

import pytest

from scripts.commands.deploy import arguments, parameters
from scripts.commands.dev.template import load
from tests.infra.templates import written

DECLARED = load(written())["Parameters"]
ARN = "arn:aws:acm:us-east-1:123456789012:certificate/1-2-3"


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("MinHosts", "0", "--min-hosts 0 is refused: it must be a number from 1 to 40."),
        ("MaxHosts", "41", "--max-hosts 41 is refused: it must be a number from 1 to 40."),
        ("MaxHosts", "-1", "--max-hosts -1 is refused"),
        ("MaxHosts", "many", "--max-hosts many is refused: it must be a number."),
        ("MaxHosts", "nan", "--max-hosts nan is refused"),
        ("MaxHosts", "9" * 5000, "is refused: it must be a number"),
        ("Architecture", "sparc", "--architecture sparc is refused: it must be arm64 or x86_64."),
        ("Domain", "example", "--domain example is refused: it must be a domain name in lower"),
        ("Domain", "https://chat.example.com", "without https://"),
        ("Domain", "chat.example.com/", "a domain name"),
        ("Domain", "Chat.example.com", "lower case"),
        ("Domain", "chat..example.com", "a domain name"),
        ("Domain", "-chat.example.com", "a domain name"),
        ("Domain", "chat_1.example.com", "a domain name"),
        ("Domain", "*.example.com", "a domain name"),
        ("Domain", "chat.example.com.", "a domain name"),
        ("Domain", "127.0.0.1", "a domain name"),
        ("Domain", "chat.example.com\n", "a domain name"),
        ("Domain", "a." * 130 + "com", "it may have up to 253 characters"),
        ("Domain", "a" * 64 + ".com", "a domain name"),
        ("Certificate", ARN.replace("us-east-1", "eu-west-1"), "in us-east-1, as CloudFront"),
        ("Certificate", "1-2-3", "the ARN of a certificate"),
        ("WebAcl", "arn:aws:wafv2:eu-west-1:123456789012:global/webacl/a/1", "in us-east-1"),
        ("WebAcl", "arn:aws:wafv2:us-east-1:123456789012:regional/webacl/a/1", "for CloudFront"),
    ],
)
def test_values_that_are_refused(name: str, value: str, why: str) -> None:
    """A message names the option, the value and what is allowed."""
    (sentence,) = parameters.refusals(DECLARED, {name: value})
    assert sentence.startswith(f"{parameters.option(name)} ")
    assert why in sentence


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MinHosts", "1"),
        ("MaxHosts", "40"),
        ("Domain", "chat.example.com"),
        ("Domain", "xn--bcher-kva.example"),
        ("Domain", "a.xn--p1ai"),
        ("Domain", ""),
        ("Certificate", ARN),
        ("Certificate", ""),
        ("WebAcl", ""),
        ("DataOnDelete", "Retain"),
    ],
)
def test_valid_values(name: str, value: str) -> None:
    """Valid values are accepted, and empty ones, which reset an option."""
    assert parameters.refusals(DECLARED, {name: value}) == []


def test_parameters_of_your_own() -> None:
    """An unknown parameter is named; others are checked by their declarations."""
    own = {"Colour": {"Type": "String", "AllowedPattern": "[a-z]+"}, "Size": {"Type": "Number"}}
    assert parameters.refusals(own, {"Colour": "red", "Size": "-7"}) == []
    assert parameters.refusals(own, {"Shape": "round", "Colour": "7", "Size": "XL"}) == [
        "infra/template.yaml has no parameter Shape.",
        "--colour 7 is refused: it must be like [a-z]+.",
        "--size XL is refused: it must be a number.",
    ]


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"MinHosts": "5"}, "--min-hosts 5 is more than --max-hosts 4."),
        ({"MaxHosts": "1"}, "--min-hosts 2 is more than --max-hosts 1."),
        ({"MinHosts": "11", "MaxHosts": "9"}, "--min-hosts 11 is more than --max-hosts 9."),
        ({"MinHosts": "1.5"}, "--min-hosts and --max-hosts have to be whole numbers."),
        ({"Domain": "chat.example.com"}, "--domain needs --certificate"),
        ({"Certificate": ARN}, "--certificate needs --domain"),
    ],
)
def test_conflicting_values(given: dict[str, str], why: str) -> None:
    """Conflicts that only AWS's services would notice are reported."""
    (sentence,) = parameters.conflicts(parameters.defaults(DECLARED) | given)
    assert sentence.startswith(why)


def test_values_without_conflict() -> None:
    """The template's defaults do not conflict, nor do equal limits."""
    values = parameters.defaults(DECLARED)
    assert not [*parameters.conflicts(values)]
    assert not [*parameters.conflicts(values | {"MinHosts": "4", "MaxHosts": "4"})]
    together = {"Domain": "chat.example.com", "Certificate": ARN}
    assert not [*parameters.conflicts(values | together)]


def test_every_parameter_has_bounds() -> None:
    """A number has limits; a text has a list, or a pattern with an explanation."""
    for name, declared in DECLARED.items():
        if declared["Type"] == "Number":
            assert declared["MinValue"] <= declared["Default"] <= declared["MaxValue"], name
        elif "AllowedValues" not in declared:
            assert re.fullmatch(r"\^.+\$", declared["AllowedPattern"]), name
            assert declared["ConstraintDescription"].endswith("."), name


def test_parameter_of_yours() -> None:
    """A parameter of your own is NAME=VALUE, with any value."""
    assert arguments.parameter("Colour=red=blue") == ("Colour", "red=blue")


@pytest.mark.parametrize("text", ["Colour", "=red", "My-Colour=red", ""])
def test_malformed_parameter(text: str) -> None:
    """Other texts are refused, with an example."""
    with pytest.raises(argparse.ArgumentTypeError, match="must be NAME=VALUE"):
        arguments.parameter(text)
