"""The arguments of scripts/deploy and scripts/destroy."""

import pytest

from scripts.commands.deploy import arguments


@pytest.mark.parametrize("name", ["Upper", "under_score", "1st", "two--hyphens", "a" * 41, ""])
def test_names_of_stacks(name: str) -> None:
    """A name that the image's repository could not have is refused before anything begins."""
    with pytest.raises(SystemExit):
        arguments.parser("scripts/deploy", "").parse_args(["--stack", name])
