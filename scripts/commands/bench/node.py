"""Node socket.io, installed with npm from its lock file into this folder's node_modules."""

import json
import subprocess
from pathlib import Path

HERE = Path(__file__).parent


class NodeError(Exception):
    """Node or npm is missing or failed; the text says what to do."""


def install() -> None:
    """Install the packages of package-lock.json, if they are not yet. Raises NodeError."""
    installed = HERE / "node_modules" / ".package-lock.json"
    lock = HERE / "package-lock.json"
    if installed.exists() and installed.stat().st_mtime >= lock.stat().st_mtime:
        return
    # Without ws's optional native addons, as npm installs socket.io by default.
    npm("ci", "--ignore-scripts", "--no-audit", "--no-fund", folder=HERE)


def npm(*arguments: str, folder: Path) -> None:
    """Run npm in a folder. Raises NodeError."""
    command = ["npm", *arguments]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise NodeError(
            "npm is missing. Install Node 20.9 or later, or leave Node out: --servers fast,stock"
        ) from None
    if done.returncode:
        output = (done.stdout + done.stderr)[-2_000:]
        raise NodeError(f"`{' '.join(command)}` failed in {folder}:\n{output}")


def version(package: str, folder: Path = HERE) -> str:
    """Return the version of a package, as a folder's package.json pins it."""
    content = json.loads((folder / "package.json").read_text("utf-8"))
    pinned: str = content["dependencies"][package]
    return pinned
