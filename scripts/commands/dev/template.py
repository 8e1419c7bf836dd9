"""What the local edge reads from `infra/template.yaml`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import yaml

from scripts.commands.dev import functions
from scripts.commands.dev.behaviours import Behaviour
from scripts.commands.dev.functions import Functions, FunctionSettings
from scripts.commands.dev.policies import CACHE_POLICIES, ORIGIN_REQUEST_POLICIES, Policy
from scripts.commands.dev.template_error import TemplateError, number, section

FUNCTION = "function"
SOCKET_HOST = "socket-host"
ORIGINS = (FUNCTION, SOCKET_HOST)  # ids of the origins that exist on one machine

_READ_METHODS = frozenset({"GET", "HEAD"})  # CloudFront's default

_DISTRIBUTION = "AWS::CloudFront::Distribution"
_TARGET_GROUP = "AWS::ElasticLoadBalancingV2::TargetGroup"


@dataclass(frozen=True)
class Template:
    """The behaviours, in the order they are tried, and the settings of their origins."""

    behaviours: tuple[Behaviour, ...]
    read_timeouts: Mapping[str, float]  # by origin id: seconds an origin may be silent
    functions: Functions
    stickiness: float  # seconds the load balancer keeps a client on its host; 0 if it does not

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a template file; raise TemplateError if the edge cannot enforce it."""
        try:
            return cls.parse(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise TemplateError(f"{path} cannot be read: {error.strerror}.") from None
        except UnicodeDecodeError as error:
            raise TemplateError(f"{path.name} is not UTF-8: {error}.") from None
        except TemplateError as error:
            raise TemplateError(f"{path.parent.name}/{path.name}: {error}") from None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the text of a template; raise TemplateError."""
        return cls.of(load(text))

    @classmethod
    def of(cls, document: Any) -> Self:
        """Read a template that `load` has parsed; raise TemplateError."""
        resources = section(document, "Resources", "the template")
        config = section(_only(resources, _DISTRIBUTION), "DistributionConfig", "the distribution")
        origins = _origins(config)
        return cls(
            _behaviours(config, origins),
            _read_timeouts(origins),
            _functions(document, resources, origins),
            _stickiness(resources),
        )

    @property
    def function(self) -> FunctionSettings:
        """The edge's function."""
        return self.functions.edge


def load(text: str) -> Any:
    """Return the YAML of a template with its short tags in their long form, `{"Ref": ...}`.

    Raises TemplateError, naming the line, if the text is not YAML.
    """
    try:
        return yaml.load(text, _Loader)  # derived from the safe loader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        raise TemplateError(f"this is not YAML{where}: {_problem(error)}.") from None


def _problem(error: yaml.YAMLError) -> str:
    """Return the parser's message in one line, without the name that it gives the text."""
    parts = (getattr(error, name, None) for name in ("context", "problem"))
    return " ".join((": ".join(part for part in parts if part) or str(error)).split())


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # either works
    """Reads CloudFormation's short tags."""


def _long_form(loader: yaml.SafeLoader, tag: str, node: yaml.Node) -> dict[str, Any]:
    name = tag if tag in ("Ref", "Condition") else f"Fn::{tag}"
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
        return {name: value.split(".", 1) if tag == "GetAtt" else value}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    assert isinstance(node, yaml.MappingNode)
    return {name: loader.construct_mapping(node, deep=True)}


_Loader.add_multi_constructor("!", _long_form)


def _only(resources: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Return the properties of the one resource of a kind."""
    found = [r for r in resources.values() if isinstance(r, dict) and r.get("Type") == kind]
    if len(found) != 1:
        raise TemplateError(f"the local edge needs exactly one {kind}, but there are {len(found)}.")
    return section(found[0], "Properties", f"the {kind}")


def _origins(config: Mapping[str, Any]) -> dict[str, Any]:
    listed = config.get("Origins")
    if not isinstance(listed, list) or not all(isinstance(o, dict) for o in listed):
        raise TemplateError("the distribution has no list of Origins.")
    return {str(origin.get("Id")): origin for origin in listed}


def _functions(
    document: Mapping[str, Any], resources: Mapping[str, Any], origins: Mapping[str, Any]
) -> Functions:
    shared = document.get("Globals")
    shared = shared.get("Function") if isinstance(shared, dict) else None
    return functions.read(resources, shared, origins.get(FUNCTION, {}).get("DomainName"))


def _read_timeouts(origins: Mapping[str, Any]) -> dict[str, float]:
    timeouts = {}
    for name, origin in origins.items():
        kinds = (origin.get("CustomOriginConfig"), origin.get("VpcOriginConfig"))
        custom = next((kind for kind in kinds if isinstance(kind, dict)), {})
        timeouts[name] = number(custom.get("OriginReadTimeout", 30), f"{name}: OriginReadTimeout")
    return timeouts


def _stickiness(resources: Mapping[str, Any]) -> float:
    listed = _only(resources, _TARGET_GROUP).get("TargetGroupAttributes", [])
    try:
        attributes = {each["Key"]: each["Value"] for each in listed}
    except (KeyError, TypeError):
        raise TemplateError("TargetGroupAttributes must be a list of Key and Value.") from None
    if str(attributes.get("stickiness.enabled", "false")).lower() != "true":
        return 0
    name = "stickiness.lb_cookie.duration_seconds"
    return number(attributes.get(name, 86_400), name)


def _behaviours(config: Mapping[str, Any], origins: Mapping[str, Any]) -> tuple[Behaviour, ...]:
    listed = config.get("CacheBehaviors") or []
    default = section(config, "DefaultCacheBehavior", "the distribution")
    if not isinstance(listed, list):
        raise TemplateError("CacheBehaviors must be a list.")
    return tuple(_behaviour(b, origins) for b in [*listed, {**default, "PathPattern": "*"}])


def _behaviour(properties: Any, origins: Mapping[str, Any]) -> Behaviour:
    pattern = properties.get("PathPattern") if isinstance(properties, dict) else None
    if not isinstance(pattern, str):
        raise TemplateError("each of the CacheBehaviors needs a PathPattern.")
    name = f"the behaviour {pattern}" if pattern != "*" else "the default behaviour"
    return Behaviour(
        pattern,
        _origin(properties.get("TargetOriginId"), origins, name),
        _methods(properties.get("AllowedMethods"), name),
        _policy(properties, name),
    )


def _origin(target: Any, origins: Mapping[str, Any], name: str) -> str:
    if not isinstance(target, str) or target not in origins:
        raise TemplateError(
            f"{name} leads to {target!r}, which is none of the distribution's Origins: "
            f"{', '.join(origins)}."
        )
    if target not in ORIGINS:
        raise TemplateError(
            f"{name} leads to {target!r}, which does not exist on one machine. "
            f"The local edge knows {' and '.join(ORIGINS)}."
        )
    return target


def _methods(listed: Any, name: str) -> frozenset[str]:
    if listed is None:
        return _READ_METHODS
    if not isinstance(listed, list) or not all(isinstance(method, str) for method in listed):
        raise TemplateError(f"{name}: AllowedMethods must be a list of methods.")
    return frozenset(listed)


def _policy(properties: Mapping[str, Any], name: str) -> Policy:
    cache = properties.get("CachePolicyId")
    request = properties.get("OriginRequestPolicyId")
    return _managed(CACHE_POLICIES, cache, f"{name}: CachePolicyId") | (
        _managed(ORIGIN_REQUEST_POLICIES, request, f"{name}: OriginRequestPolicyId")
        if request
        else Policy()
    )


def _managed(policies: Mapping[str, Policy], id_: Any, what: str) -> Policy:
    if not isinstance(id_, str) or id_ not in policies:
        raise TemplateError(
            f"{what} is {id_!r}, which the local edge cannot enforce. It knows the managed "
            "policies listed in scripts/commands/dev/policies.py."
        )
    return policies[id_]
