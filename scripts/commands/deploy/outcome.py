"""Checks that a deployed stack is as requested."""

from collections.abc import Mapping

from scripts.commands.deploy.stack import Stack
from scripts.commands.deploy.step import StackError


def check_parameters(stack: Stack, given: Mapping[str, str]) -> None:
    """Raise StackError unless a stack has the given parameters."""
    has = stack.parameters()
    if others := [f"{name}={has.get(name)}" for name in given if has.get(name) != given[name]]:
        raise StackError(f"the stack {stack.name} still has {', '.join(others)}.")


def check_data(stack: Stack) -> dict[str, str]:
    """Return the resources that would outlive a stack: physical ids by name.

    Raises StackError if they are not those that its parameters ask for. The processed template,
    which determines what CloudFormation would do, is compared.
    """
    retained = stack.retained()
    keeps = stack.parameters().get("DataOnDelete") == "Retain"
    if wrong := sorted(name for name in stack.data() if (name in retained) != keeps):
        raise StackError(
            f"the stack would {'delete' if keeps else 'keep'} {', '.join(wrong)}, but was asked to "
            f"{'keep' if keeps else 'delete'} it.",
            "Run scripts/deploy with --keep-data, or with --no-keep-data if the data may be "
            "deleted. Nothing has been deleted.",
        )
    return stack.kept()
