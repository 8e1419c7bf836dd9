"""The container engine."""

from pathlib import Path

import pytest

from scripts.commands.deploy.engine import Engine, NoEngineError


def test_engine_that_does_not_run(nothing: Path) -> None:
    """An engine that is installed but silent is named, with its own words."""
    program = nothing / "podman"
    program.write_text("#!/bin/sh\necho Cannot connect to Podman. >&2\nexit 125\n")
    program.chmod(0o755)
    with pytest.raises(NoEngineError, match=r"podman .* does not run: Cannot connect to Podman\."):
        Engine.find()
