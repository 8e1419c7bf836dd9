"""Merges a later version of Sidepath into this project, as `git merge` would, but keeps your files.

Those are your four folders and the marked parts of the template, whatever has changed in upstream's
sample.
"""

import argparse
import sys

from scripts import ROOT
from scripts.commands.upgrade.merge import ConflictError, UnknownCommitError, merge
from scripts.terminal import say
from scripts.yours import GitError, uncommitted


def main() -> None:
    """Merge the commit named by the argument; exit with 1 and the reason if that fails."""
    parser = argparse.ArgumentParser(prog="scripts/upgrade", description=__doc__)
    parser.add_argument(
        "ref", nargs="?", default="upstream/main", metavar="COMMIT", help="default %(default)s"
    )
    ref = parser.parse_args().ref
    try:
        if changed := uncommitted(ROOT):
            sys.exit(
                "Commit or revert these changes first:\n" + "\n".join(f"  {p}" for p in changed)
            )
        merge(ROOT, ref)
    except UnknownCommitError:
        sys.exit(
            f"git has no commit {ref}. Fetch it first: git remote add upstream URL, once, and then "
            "git fetch upstream."
        )
    except ConflictError as error:
        sys.exit(
            f"git merge failed:\n{error}\nConflicts are in files outside of your folders: resolve "
            "and commit them as after any merge, or run git merge --abort."
        )
    except GitError as error:
        sys.exit(f"git failed:\n{error}")
    say("Merged. See CHANGELOG.md for what you must change, then run scripts/pin and scripts/test.")


if __name__ == "__main__":
    main()
