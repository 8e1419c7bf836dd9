"""Merges a later Sidepath into a project, as git does, but for what is yours: that stays as it is.

Upstream's commit has the sample where yours is, and a change of the sample would conflict with your
having none. So what is merged is a commit on top of it that has yours instead.
"""

import os
import tempfile
from pathlib import Path

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
        *("-m", f"{ref}, with what is ours in place of its sample"),
    ).strip()
    try:
        git(project, "merge", "--no-ff", "-m", f"Merge {ref}", made)
    except GitError as error:
        if git(project, "ls-files", "--unmerged"):
            raise ConflictError(str(error)) from None
        raise


def _tree(project: Path, theirs: str) -> str:
    """Return a tree with all that is upstream's in a commit, and all that is yours in HEAD."""
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
