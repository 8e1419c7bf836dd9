"""infra/template.yaml for tests: as it is written, and as CloudFormation sees it.

Your parts are left out unless a test asks for them, because a team may write anything there.
"""

import copy
import os
import re
from collections.abc import Iterator
from functools import cache
from types import SimpleNamespace
from typing import Any
from unittest import mock

from scripts import ROOT
from scripts.commands.dev.template import load
from scripts.yours import with_parts

SOURCE = ROOT / "infra/template.yaml"

Json = dict[str, Any]


def transformed(template: Json) -> Json:
    """A packaged template after the SAM transform."""
    from samtranslator.translator.transform import transform  # slow to import

    policies = SimpleNamespace(load=dict)  # the template uses none, so none need be fetched
    with mock.patch.dict(os.environ, AWS_DEFAULT_REGION="us-east-1"):
        result: Json = transform(template, {}, policies)
    return result


def schema(kind: str) -> Json:
    """CloudFormation's schema of a resource type."""
    from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER  # slow to import

    found: Json = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema
    return found


def written(*, yours: bool = False) -> str:
    """The template's text."""
    text = SOURCE.read_text()
    return text if yours else with_parts(text, {})


@cache
def _translated(yours: bool) -> Json:
    source = load(written(yours=yours))
    for resource in source["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            # The translator needs code that is already packaged.
            resource["Properties"]["CodeUri"] = "s3://bucket/key"
    return transformed(source)


def translate(*, yours: bool = False) -> Json:
    """The template after the SAM transform; each call returns a new copy."""
    return copy.deepcopy(_translated(yours))


def properties(template: Json, name: str) -> Json:
    """The properties of a resource by name."""
    found: Json = template["Resources"][name]["Properties"]
    return found


def of_kind(template: Json, kind: str) -> dict[str, Json]:
    """The properties of all resources of a kind, by name."""
    resources = template["Resources"].items()
    return {name: r.get("Properties", {}) for name, r in resources if r["Type"] == kind}


def references(value: Any) -> Iterator[str]:
    """Every name that a piece of a template refers to."""
    match value:
        case {"Ref": str(name)} | {"Fn::GetAtt": [str(name), *_]} | {"Fn::GetAtt": str(name)}:
            yield name.split(".")[0]
        case {"Fn::Sub": [str(text), dict(own)]}:
            yield from references(own)
            yield from set(references({"Fn::Sub": text})) - own.keys()
        case {"Fn::Sub": str(text)}:
            yield from (name.split(".")[0] for name in re.findall(r"\${([\w.:]+)}", text))
        case dict():
            for inner in value.values():
                yield from references(inner)
        case list():
            for inner in value:
                yield from references(inner)


def with_architecture(text: str, name: str) -> str:
    """A template's text with another default processor."""
    changed, times = re.subn(
        r"(\n  Architecture:\n(?:    .*\n)*?    Default: )\w+", rf"\g<1>{name}", text
    )
    assert times == 1
    return changed


def container(template: Json) -> Json:
    """The only container of the host's task."""
    (found,) = properties(template, "HostTask")["ContainerDefinitions"]
    assert isinstance(found, dict)
    return found


def attributes(template: Json, name: str, kind: str) -> dict[str, str]:
    return {a["Key"]: a["Value"] for a in properties(template, name)[f"{kind}Attributes"]}
