"""What a stack has become, compared with what it was told."""

from collections.abc import Mapping

from scripts.commands.deploy.stack import Stack
from scripts.commands.deploy.step import StackError


def check_parameters(stack: Stack, given: Mapping[str, str]) -> None:
    """Raise StackError unless a stack has the parameters it was given."""
    has = stack.parameters()
    if others := [f"{name}={has.get(name)}" for name in given if has.get(name) != given[name]]:
        raise StackError(f"the stack {stack.name} still has {', '.join(others)}.")


def check_data(stack: Stack) -> dict[str, str]:
    """Return what outlives a stack, the physical ids by names; raise StackError if that is wrong.

    What CloudFormation would do is in its own form of the template, and counts.
    """
    retained = stack.retained()
    keeps = stack.parameters().get("DataOnDelete") == "Retain"
    if wrong := sorted(name for name in stack.data() if (name in retained) != keeps):
        raise StackError(
            f"the stack would {'delete' if keeps else 'keep'} {', '.join(wrong)}, and was told to "
            f"{'keep' if keeps else 'delete'} it.",
            "Run scripts/deploy --keep-data, or --no-keep-data if the data may go. Nothing is "
            "deleted before that has worked.",
        )
    return stack.kept()
