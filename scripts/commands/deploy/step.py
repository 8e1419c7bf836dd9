"""One step of a deployment: says that it begins and, where it fails, why and what to do next."""

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]

from scripts.commands.deploy.command import CommandError
from scripts.frontend import BuildError
from scripts.terminal import say


class StepError(Exception):
    """A step has failed; the text says which, why, and what to do next."""

    def __init__(self, name: str, why: object, advice: str) -> None:
        super().__init__(f"{name} has failed.\n  Why: {why}\n  What to do: {advice}")


class StackError(Exception):
    """CloudFormation has not done what it was asked; the text is its own reason."""

    def __init__(self, why: str, advice: str | None = None) -> None:
        super().__init__(why)
        self.advice = advice  # where there is better than the step's own


@contextmanager
def step(name: str, advice: str) -> Iterator[None]:
    """Name what happens inside; raise StepError, with AWS's own words, if that fails."""
    say(f"--- {name}")
    try:
        yield
    except ClientError as error:
        told = error.response.get("Error", {})
        why = f"{error.operation_name}: {told.get('Message')} ({told.get('Code')})"
        raise StepError(name, why, advice) from None
    except StackError as error:
        raise StepError(name, error, error.advice or advice) from None
    except (BotoCoreError, BuildError, CommandError) as error:
        raise StepError(name, error, advice) from None
