"""Takes out what is yours, and leaves the blank app in its place."""

import shutil
from pathlib import Path

from scripts.commands.blank.yours import FOLDERS, PART, TEMPLATE

APP = Path(__file__).parent / "app"


def blank(project: Path) -> None:
    """Leave the blank app, and nothing else, where a project is yours."""
    for folder in FOLDERS:
        shutil.rmtree(project / folder, ignore_errors=True)
        shutil.copytree(
            APP / folder, project / folder, ignore=shutil.ignore_patterns("__pycache__")
        )
    template = project / TEMPLATE
    template.write_text(PART.sub(r"\1\2", template.read_text()))
