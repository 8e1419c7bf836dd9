"""Merges a later version of Sidepath into a project, but keeps the files that are yours.

Upstream's commit has the sample in your folders, and changes to it would conflict with your files.
So this merges a commit on top of upstream's that has your files instead.
"""

import os
import tempfile
from pathlib import Path

from scripts.commands.upgrade.conflicts import settle
from scripts.yours import FOLDERS, TEMPLATE, GitError, git, parts, with_parts


class UnknownCommitError(Exception):
    """There is no such commit in the project's repository."""


class ConflictError(GitError):
    """The merge has begun, and conflicts; the text is git's."""


def merge(project: Path, ref: str) -> None:
    """Merge a commit of upstream's; raise UnknownCommitError, ConflictError or a GitError."""
    try:
        theirs = git(project, "rev-parse", "--verify", f"{ref}^{{commit}}").strip()
    except GitError:
        raise UnknownCommitError(ref) from None
    made = git(
        project,
        *("commit-tree", _tree(project, theirs), "-p", theirs),
        *("-m", f"{ref}, with our files instead of its sample"),
    ).strip()
    try:
        git(project, "merge", "--no-ff", "-m", f"Merge {ref}", made)
    except GitError as error:
        if not git(project, "ls-files", "--unmerged"):
            raise
        if not settle(project):
            raise ConflictError(str(error)) from None
        git(project, "commit", "--quiet", "--no-edit")


def _tree(project: Path, theirs: str) -> str:
    """Return a tree with upstream's files of a commit, and your files of HEAD."""
    with tempfile.TemporaryDirectory() as folder:
        environ = {**os.environ, "GIT_INDEX_FILE": str(Path(folder) / "index")}

        def index(*words: str) -> str:
            return git(project, *words, environ=environ)

        index("read-tree", theirs)
        for path in FOLDERS:
            index("rm", "-r", "--cached", "--force", "--quiet", "--ignore-unmatch", path)
            if git(project, "ls-tree", "HEAD", path):
                index("read-tree", f"--prefix={path}/", f"HEAD:{path}")
        template = Path(folder) / "template.yaml"
        own = parts(git(project, "show", f"HEAD:{TEMPLATE}"))
        template.write_text(with_parts(git(project, "show", f"{theirs}:{TEMPLATE}"), own))
        blob = git(project, "hash-object", "-w", str(template)).strip()
        index("update-index", "--cacheinfo", f"100644,{blob},{TEMPLATE}")
        return index("write-tree").strip()
