"""Replaces the files that are yours by the blank app."""

import shutil
from pathlib import Path

from scripts.yours import FOLDERS, TEMPLATE, with_parts

APP = Path(__file__).parent / "app"


def blank(project: Path) -> None:
    """Replace the files of a project that are yours by the blank app's."""
    for folder in FOLDERS:
        shutil.rmtree(project / folder, ignore_errors=True)
        shutil.copytree(
            APP / folder, project / folder, ignore=shutil.ignore_patterns("__pycache__")
        )
    template = project / TEMPLATE
    template.write_text(with_parts(template.read_text(), {}))
