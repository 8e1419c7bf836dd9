"""The arguments of scripts/deploy and scripts/destroy."""

import pytest

from scripts.commands.deploy import arguments


@pytest.mark.parametrize("name", ["Upper", "under_score", "1st", "two--hyphens", "a" * 41, ""])
def test_names_of_stacks(name: str) -> None:
    """A stack name that is invalid for the image repository is refused at the start."""
    with pytest.raises(SystemExit):
        arguments.parser("scripts/deploy", "").parse_args(["--stack", name])
