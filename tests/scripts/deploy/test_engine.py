"""The container engine."""

import shutil
from pathlib import Path

import pytest

from scripts.commands.deploy.emulation import remedy
from scripts.commands.deploy.engine import ENGINES, Engine, NoEngineError
from scripts.commands.pin.base import Base
from tests.scripts.deploy.engine import calls, install


def test_engine_that_does_not_run(nothing: Path) -> None:
    """An engine that is installed but does not work is named, with its message."""
    program = nothing / "podman"
    program.write_text("#!/bin/sh\necho Cannot connect to Podman. >&2\nexit 125\n")
    program.chmod(0o755)
    with pytest.raises(NoEngineError, match=r"podman .* does not work: Cannot connect to Podman\."):
        Engine.find()


@pytest.mark.parametrize("program", ENGINES)
def test_installed_engine_builds(program: str, nothing: Path, tmp_path: Path) -> None:
    """The engine that is installed builds the image."""
    shutil.copy(install(tmp_path / "stand-in") / "docker", nothing / program)
    engine = Engine.find()
    engine.build("sidepath:1", "linux/arm64", Base("python:3"))
    (build,) = calls(nothing)
    options = dict(zip(build[1:-2:2], build[2:-2:2], strict=True))
    assert options["--platform"] == "linux/arm64"
    # Podman's default format has no health check.
    assert options.get("--format") == ("docker" if program == "podman" else None)


@pytest.mark.parametrize("program", ENGINES)
def test_advice_names_the_engine(program: str) -> None:
    """Advice on other processors is about the installed engine only."""
    others = {name for name in ENGINES if name != program}
    assert not [name for name in others if name in remedy(program)]
    assert program in remedy(program) or program == "podman"
