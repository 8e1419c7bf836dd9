"""A template with its parameters resolved, as CloudFormation compares it with a stack."""

import re
from collections.abc import Mapping
from typing import Any

from tests.infra.templates import Json

NOTHING = {"Ref": "AWS::NoValue"}


class Resolver:
    """A template, and values for its parameters; others have their defaults."""

    def __init__(self, template: Json, given: Mapping[str, str]) -> None:
        self._conditions = template.get("Conditions", {})
        declared = template.get("Parameters", {}).items()
        defaults = {name: p["Default"] for name, p in declared if "Default" in p}
        self._values = {name: str(value) for name, value in (defaults | {**given}).items()}

    def filled(self, value: Any) -> Any:
        """A piece of the template, with parameters and conditions resolved."""
        match value:
            case {"Ref": str(name)} if name in self._values:
                return self._values[name]
            case {"Fn::If": [str(condition), yes, no]}:
                return self.filled(yes if self.holds({"Condition": condition}) else no)
            case {"Fn::Sub": str(text)}:
                return {"Fn::Sub": self._substituted(text)}
            case dict():
                found = {key: self.filled(inner) for key, inner in value.items()}
                return {key: inner for key, inner in found.items() if inner != NOTHING}
            case list():
                return [inner for each in value if (inner := self.filled(each)) != NOTHING]
            case _:
                return value

    def holds(self, condition: Any) -> bool:
        """Whether a condition is true."""
        match condition:
            case {"Condition": str(name)}:
                return self.holds(self._conditions[name])
            case {"Fn::Equals": [left, right]}:
                return bool(self.filled(left) == self.filled(right))
            case {"Fn::Not": [inner]}:
                return not self.holds(inner)
            case {"Fn::And": list(inner)}:
                return all(map(self.holds, inner))
            case {"Fn::Or": list(inner)}:
                return any(map(self.holds, inner))
        raise AssertionError(condition)

    def _substituted(self, text: str) -> str:
        return re.sub(r"\${(\w+)}", lambda found: self._values.get(found[1], found[0]), text)


def resources(template: Json, given: Mapping[str, str]) -> dict[str, Json]:
    """The resources by name, with the parts whose change counts: type and properties."""
    resolver = Resolver(template, given)
    return {
        name: {
            "Type": resource["Type"],
            "Properties": resolver.filled(resource.get("Properties", {})),
        }
        for name, resource in template["Resources"].items()
        if "Condition" not in resource or resolver.holds({"Condition": resource["Condition"]})
    }
