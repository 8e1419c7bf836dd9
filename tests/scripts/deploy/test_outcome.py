"""A stack that is not as requested is noticed."""

from typing import Any

import pytest

from scripts.commands.deploy.outcome import check_data, check_parameters
from scripts.commands.deploy.stack import Stack
from scripts.commands.deploy.step import StackError


class Formation:
    """CloudFormation with a stack of two tables, one of which the parameter applies to."""

    def __init__(self, parameter: str, policy: str) -> None:
        self._parameter = parameter
        self._policies = {"Processed": policy, "Original": "!Ref DataOnDelete"}

    def describe_stacks(self, StackName: str) -> dict[str, Any]:  # noqa: N803 - AWS's own name
        parameter = {"ParameterKey": "DataOnDelete", "ParameterValue": self._parameter}
        return {"Stacks": [{"StackStatus": "UPDATE_COMPLETE", "Parameters": [parameter]}]}

    def get_template(self, StackName: str, TemplateStage: str) -> dict[str, Any]:  # noqa: N803 - as above
        policy = self._policies[TemplateStage]
        text = f"Resources: {{One: {{DeletionPolicy: {policy}}}, Two: {{DeletionPolicy: Retain}}}}"
        return {"TemplateBody": text}

    def get_paginator(self, _: str) -> "Formation":
        return self

    def paginate(self, StackName: str) -> list[dict[str, Any]]:  # noqa: N803 - AWS's own name
        ids = {"One": "one-1", "Two": "two-2", "Three": "three-3"}
        found = [{"LogicalResourceId": n, "PhysicalResourceId": i} for n, i in ids.items()]
        return [{"StackResourceSummaries": found}]


@pytest.mark.parametrize(
    ("parameter", "policy", "kept"),
    [("Retain", "Retain", {"One", "Two"}), ("Delete", "Delete", {"Two"})],
)
def test_data_that_is_kept(parameter: str, policy: str, kept: set[str]) -> None:
    """The processed template determines what outlives a stack."""
    found = check_data(Stack(Formation(parameter, policy), "chat"))
    assert found == {name: f"{name.lower()}-{['One', 'Two'].index(name) + 1}" for name in kept}


@pytest.mark.parametrize(
    ("parameter", "policy", "words"),
    [
        ("Retain", "Delete", "the stack would delete One, but was asked to keep it"),
        ("Delete", "Retain", "the stack would keep One, but was asked to delete it"),
    ],
)
def test_data_that_is_not_what_was_asked_for(parameter: str, policy: str, words: str) -> None:
    """A parameter without effect is an error."""
    with pytest.raises(StackError, match=words) as error:
        check_data(Stack(Formation(parameter, policy), "chat"))
    assert "Nothing has been deleted" in str(error.value.advice)


def test_parameters_that_were_not_taken() -> None:
    """A deployment without the requested change is an error."""
    stack = Stack(Formation("Delete", "Delete"), "chat")
    check_parameters(stack, {"DataOnDelete": "Delete"})
    with pytest.raises(StackError, match="still has DataOnDelete=Delete"):
        check_parameters(stack, {"DataOnDelete": "Retain"})
