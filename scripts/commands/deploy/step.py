"""One step of a deployment: prints its name and, if it fails, why and what to do."""

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]

from scripts.commands.deploy.command import CommandError
from scripts.frontend import BuildError
from scripts.terminal import say


class StepError(Exception):
    """A step failed; the text says which, why, and what to do."""

    def __init__(self, name: str, why: object, advice: str) -> None:
        super().__init__(f"{name} failed.\n  Why: {why}\n  What to do: {advice}")


class StackError(Exception):
    """CloudFormation failed; the text is its own reason."""

    def __init__(self, why: str, advice: str | None = None) -> None:
        super().__init__(why)
        self.advice = advice  # if there is any more specific than the step's


@contextmanager
def step(name: str, advice: str) -> Iterator[None]:
    """Print the name of the step; raise StepError, with AWS's reason, if its body fails."""
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
