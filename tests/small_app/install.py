"""Replaces your app with the small app in a copy of the project."""

import shutil
from pathlib import Path

HERE = Path(__file__).parent

# Its packages, and those of yours that they replace.
PLACES = {
    "pages": "functions.pages",
    "model": "functions.model",
    "events": "socket_host.events",
}


def install(project: Path) -> None:
    """Replace everything that is yours in a copy of the project with the small app."""
    for name, package in PLACES.items():
        folder = project / package.replace(".", "/")
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(HERE / name, folder, ignore=shutil.ignore_patterns("__pycache__"))
        for file in folder.rglob("*.py"):
            text = file.read_text()
            for own, yours in PLACES.items():
                text = text.replace(f"tests.small_app.{own}", yours)
            file.write_text(text)
