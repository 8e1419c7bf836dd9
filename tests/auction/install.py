"""Replaces your app with the auction in a copy of the project."""

import json
import shutil
from importlib.metadata import version
from pathlib import Path

from scripts.yours import FOLDERS, TEMPLATE, parts, with_parts
from tests.own_packages import with_packages

AUCTION = Path(__file__).parent / "project"
FRONT_END = AUCTION / "front_end"

BUILD = (
    "esbuild frontend/board.jsx --bundle --splitting --minify --jsx=automatic --format=esm"
    " --external:./socket.io.esm.min.js --outdir=functions/pages/static"
)

PACKAGES = ("pydantic",)


def install(project: Path) -> None:
    """Replace everything that is yours in a copy of the project with the auction."""
    for folder in FOLDERS:
        shutil.rmtree(project / folder)
        shutil.copytree(
            AUCTION / folder, project / folder, ignore=shutil.ignore_patterns("__pycache__")
        )
    template = project / TEMPLATE
    own = parts((AUCTION / "infra/yours.yaml").read_text())
    assert own.keys() == parts(template.read_text()).keys()
    template.write_text(with_parts(template.read_text(), own))
    # As scripts/pin would, which needs a package index.
    pyproject = project / "pyproject.toml"
    pyproject.write_text(with_packages(pyproject.read_text(), PACKAGES))
    pinned = "".join(f"{package}=={version(package)}\n" for package in PACKAGES)
    (project / "requirements.txt").write_text(pinned)


def install_front_end(project: Path, packages: Path) -> None:
    """Render the auction's front page with React, from a folder that npm has installed."""
    shutil.copytree(FRONT_END, project, dirs_exist_ok=True)
    (project / "node_modules").unlink()
    (project / "node_modules").symlink_to(packages / "node_modules")
    package = json.loads((packages / "package.json").read_text())
    package["scripts"] = {"build": BUILD}
    (project / "package.json").write_text(json.dumps(package, indent=2))
