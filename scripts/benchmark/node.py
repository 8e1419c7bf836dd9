"""Node socket.io, installed from npm by its lock file into this folder's node_modules."""

import json
import subprocess
from pathlib import Path

HERE = Path(__file__).parent


class NodeError(Exception):
    """Node or npm is missing or failed; the text says what to do."""


def install() -> None:
    """Install what package-lock.json pins, if it is not installed yet. Raises NodeError."""
    installed = HERE / "node_modules" / ".package-lock.json"
    lock = HERE / "package-lock.json"
    if installed.exists() and installed.stat().st_mtime >= lock.stat().st_mtime:
        return
    # Without the optional native addons of ws, as npm installs socket.io for everybody.
    command = ["npm", "ci", "--no-audit", "--no-fund", "--prefix", str(HERE)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise NodeError(
            "There is no npm here. Install Node 20 or later, or leave Node out: "
            "--servers fast,stock"
        ) from None
    if done.returncode:
        raise NodeError(f"npm could not install socket.io:\n{done.stderr}")


def version(package: str) -> str:
    """Return the version of a package that is compared with."""
    content = json.loads((HERE / "package.json").read_text("utf-8"))
    pinned: str = content["dependencies"][package]
    return pinned
