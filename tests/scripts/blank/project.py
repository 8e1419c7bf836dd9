"""A project under git whose sample can be removed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from scripts import ROOT
from scripts.yours import FOLDERS, TEMPLATE

# git without any user's configuration, but with a name for commits.
_GIT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_AUTHOR_NAME": "Ann",
    "GIT_AUTHOR_EMAIL": "ann@example.com",
    "GIT_COMMITTER_NAME": "Ann",
    "GIT_COMMITTER_EMAIL": "ann@example.com",
}


class Project:
    """A copy of the parts that scripts/blank reads, or of others, in the test's own folder."""

    def __init__(self, root: Path, *parts: str) -> None:
        self.root = root
        unwanted = shutil.ignore_patterns("__pycache__")
        for part in ("scripts", *FOLDERS, TEMPLATE, *parts):
            if (ROOT / part).is_dir():
                shutil.copytree(ROOT / part, root / part, ignore=unwanted, dirs_exist_ok=True)
            else:
                (root / part).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / part, root / part)

    def git(self, *words: str) -> str:
        """Run git, which must succeed; return its output."""
        done = subprocess.run(
            ["git", *words], cwd=self.root, env=_environ(), capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def commit(self, message: str) -> None:
        """Commit everything."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)

    def begin(self) -> None:
        """Create a repository with everything committed."""
        self.git("init", "--quiet", "--initial-branch=main")
        self.commit("As it is")

    def blank(self, *options: str, typed: str = "") -> tuple[int, str]:
        """Run scripts/blank; return its exit status and output."""
        return self._run("blank", *options, typed=typed)

    def upgrade(self, *options: str) -> tuple[int, str]:
        """Run scripts/upgrade; return its exit status and output."""
        return self._run("upgrade", *options)

    def _run(self, command: str, *options: str, typed: str = "") -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", f"scripts.commands.{command}", *options],
            cwd=self.root,
            env=_environ() | {"PYTHONDONTWRITEBYTECODE": "1"},
            input=typed,
            capture_output=True,
            text=True,
        )
        return done.returncode, done.stderr

    def yours(self) -> set[str]:
        """The files that are yours, by path."""
        found = [file for folder in FOLDERS for file in (self.root / folder).rglob("*")]
        return {str(file.relative_to(self.root)) for file in found if file.is_file()}


def _environ() -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return own | _GIT
