"""Takes the sample out: what is yours becomes a page that says hello, one event, and their tests.

Says first what it will remove, and asks. It removes only what is in a commit, so that git can bring
it back.
"""

import argparse
import sys
from pathlib import Path

from scripts import ROOT
from scripts.commands.blank.blanking import blank
from scripts.terminal import say
from scripts.yours import FOLDERS, TEMPLATE, GitError, parts, uncommitted


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/blank", description=__doc__)
    parser.add_argument("--yes", action="store_true", help="do not ask")
    return parser.parse_args()


def _removed(project: Path) -> list[str]:
    """Return what will be removed, a line each."""
    lines = []
    for folder in FOLDERS:
        files = [f for f in (project / folder).rglob("*") if f.is_file() and f.suffix != ".pyc"]
        lines.append(f"  {folder}/, with {len(files)} files")
    marked = parts((project / TEMPLATE).read_text()).values()
    count = sum(len(part.splitlines()) for part in marked)
    return [*lines, f"  {count} lines of {TEMPLATE}, between the marks that say what is yours"]


def _confirmed() -> bool:
    say("Go on? Type yes:")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def main() -> None:
    """Take the sample out; exit with 1 and the reason if that must not be."""
    options = _options()
    try:
        changed = uncommitted(ROOT, *FOLDERS, TEMPLATE)
    except GitError as error:
        sys.exit(f"{error}\nWhat is removed has to be in a commit, so that you can get it back.")
    if changed:
        sys.exit(
            "These would be lost, for they are in no commit. Commit them, or take them back:\n"
            + "\n".join(f"  {path}" for path in changed)
        )
    say("This will be removed:\n" + "\n".join(_removed(ROOT)))
    say("In its place: a page that says hello, one event, and their tests.")
    if not options.yes and not _confirmed():
        sys.exit("Nothing was removed.")
    blank(ROOT)
    say("Done. Look at it with scripts/dev; then git add --all, and commit.")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("Stopped. Nothing was removed.")
