"""What is yours: four folders, and the marked parts of infra/template.yaml."""

import re
import subprocess
from pathlib import Path

FOLDERS = ("functions/pages", "functions/model", "socket_host/events", "tests/app")
TEMPLATE = "infra/template.yaml"

BEGIN, END = "# --- Yours ---", "# --- end of yours ---"
PART = re.compile(rf"({BEGIN}\n).*?(^ *{END})", re.DOTALL | re.MULTILINE)


class GitError(Exception):
    """git cannot say what has been changed; the text says why."""


def parts(template: str) -> list[str]:
    """Return what stands in the marked parts of a template, but for empty ones."""
    marked = (part[0].removeprefix(part[1]) for part in PART.finditer(template))
    return [text for part in marked if (text := part.rpartition(END)[0]).strip()]


def uncommitted(project: Path) -> list[str]:
    """Return the paths of yours whose changes are in no commit; raise GitError."""
    asked = subprocess.run(
        ["git", "status", "--porcelain", "--untracked-files=all", "--", *FOLDERS, TEMPLATE],
        cwd=project,
        capture_output=True,
        text=True,
    )
    if asked.returncode:
        raise GitError(f"git does not know this folder: {asked.stderr.strip()}")
    return [line[3:] for line in asked.stdout.splitlines()]
