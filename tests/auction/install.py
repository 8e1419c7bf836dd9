"""Puts the auction where yours is, in a copy of the project."""

import shutil
from importlib.metadata import version
from pathlib import Path

from scripts.yours import FOLDERS, TEMPLATE, parts, with_parts

AUCTION = Path(__file__).parent / "project"

PACKAGES = ("pydantic",)


def install(project: Path) -> None:
    """Have a copy of the project hold the auction, and nothing else that is yours."""
    for folder in FOLDERS:
        shutil.rmtree(project / folder)
        shutil.copytree(
            AUCTION / folder, project / folder, ignore=shutil.ignore_patterns("__pycache__")
        )
    template = project / TEMPLATE
    own = parts((AUCTION / "infra/yours.yaml").read_text())
    assert own.keys() == parts(template.read_text()).keys()
    template.write_text(with_parts(template.read_text(), own))
    # What scripts/pin does, which needs an index.
    ours = (project / "pyproject.toml").read_text()
    assert "\napp = []" in ours or "\napp = [" in ours
    head, _, _ = ours.rpartition("\napp = [")
    (project / "pyproject.toml").write_text(f"{head}\napp = {list(PACKAGES)}\n")
    pinned = "".join(f"{package}=={version(package)}\n" for package in PACKAGES)
    (project / "requirements.txt").write_text(pinned)
