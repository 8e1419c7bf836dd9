"""The files of a project that are yours: four folders, and parts of infra/template.yaml."""

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

FOLDERS = ("functions/pages", "functions/model", "socket_host/events", "tests/app")
TEMPLATE = "infra/template.yaml"

# A part of the template that is yours, between two comments; the first gives its name.
PART = re.compile(
    r"^ *# --- Yours: (?P<name>[\w ]+) ---\n(?P<text>.*?)^ *# --- end of yours ---$",
    re.DOTALL | re.MULTILINE,
)


class GitError(Exception):
    """git failed; the text says why."""


def parts(template: str) -> dict[str, str]:
    """Return the contents of the marked parts of a template, by name."""
    return {part["name"]: part["text"] for part in PART.finditer(template)}


def with_parts(template: str, texts: Mapping[str, str]) -> str:
    """Return a template with other texts in its marked parts; without a text, a part is empty."""

    def replaced(part: re.Match[str]) -> str:
        start, end = (place - part.start() for place in part.span("text"))
        return part[0][:start] + texts.get(part["name"], "") + part[0][end:]

    return PART.sub(replaced, template)


def git(project: Path, *words: str, environ: Mapping[str, str] | None = None) -> str:
    """Return git's output in a project; raise GitError."""
    done = subprocess.run(["git", *words], cwd=project, env=environ, capture_output=True, text=True)
    if done.returncode:
        raise GitError((done.stdout + done.stderr).strip())
    return done.stdout


def uncommitted(project: Path, *paths: str) -> list[str]:
    """Return the files under these paths with uncommitted changes; raise GitError."""
    found = git(project, "status", "--porcelain", "--untracked-files=all", "--", *paths)
    return [line[3:] for line in found.splitlines()]
