"""Merges a later Sidepath into this project: `git merge`, but what is yours stays as it is.

That is your four folders and the marked parts of the template, whatever upstream has done to its
sample.
"""

import argparse
import sys

from scripts import ROOT
from scripts.commands.upgrade.merge import ConflictError, UnknownCommitError, merge
from scripts.terminal import say
from scripts.yours import GitError, uncommitted


def main() -> None:
    """Merge what the argument names; exit with 1 and the reason if that is left to do."""
    parser = argparse.ArgumentParser(prog="scripts/upgrade", description=__doc__)
    parser.add_argument(
        "ref", nargs="?", default="upstream/main", metavar="COMMIT", help="%(default)s if not given"
    )
    ref = parser.parse_args().ref
    try:
        if changed := uncommitted(ROOT):
            sys.exit(
                "Commit these first, or take them back:\n" + "\n".join(f"  {p}" for p in changed)
            )
        merge(ROOT, ref)
    except UnknownCommitError:
        sys.exit(
            f"git has no commit {ref}. Fetch it first: git remote add upstream URL, once, and then "
            "git fetch upstream."
        )
    except ConflictError as error:
        sys.exit(
            f"git says:\n{error}\nWhat conflicts is not yours by its place: mend it as after any "
            "git merge, and commit; or git merge --abort."
        )
    except GitError as error:
        sys.exit(f"git says:\n{error}")
    say("Merged. CHANGELOG.md says what you must do; scripts/pin and scripts/test come next.")


if __name__ == "__main__":
    main()
