"""Failed steps say why, and what to do."""

import pytest
from botocore.exceptions import ClientError

from scripts.commands.deploy.command import CommandError, run
from scripts.commands.deploy.step import StepError, step

EXPIRED = ClientError({"Error": {"Message": "The token has expired", "Code": "Expired"}}, "Get")


def test_step_in_awss_own_words() -> None:
    """A step that AWS refuses reports the operation, AWS's message, and what to do."""
    with pytest.raises(StepError) as error, step("Looking", "Look again."):
        raise EXPIRED
    assert str(error.value).splitlines() == [
        "Looking failed.",
        "  Why: Get: The token has expired (Expired)",
        "  What to do: Look again.",
    ]


def test_program_that_is_missing() -> None:
    """A program that is missing, or that fails, is named."""
    with pytest.raises(CommandError, match="no-such-program cannot be run"):
        run(["no-such-program"])
    with pytest.raises(CommandError, match=r"^false now ended with status 1"):
        run(["false", "now"])
