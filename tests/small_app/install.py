"""Puts the small app where yours is, in a copy of the project."""

import shutil
from pathlib import Path

HERE = Path(__file__).parent

# Its packages, and where yours are.
PLACES = {
    "pages": "functions.pages",
    "model": "functions.model",
    "events": "socket_host.events",
}


def install(project: Path) -> None:
    """Have a copy of the project hold the small app, and nothing that is yours."""
    for name, package in PLACES.items():
        folder = project / package.replace(".", "/")
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(HERE / name, folder, ignore=shutil.ignore_patterns("__pycache__"))
        for file in folder.rglob("*.py"):
            text = file.read_text()
            for own, yours in PLACES.items():
                text = text.replace(f"tests.small_app.{own}", yours)
            file.write_text(text)
