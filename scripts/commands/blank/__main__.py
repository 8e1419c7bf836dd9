"""Removes the sample: your folders get a page that says hello, one event, and their tests instead.

Lists what it will remove, and asks first. It removes only committed files, so that git can restore
them.
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
    """Return the lines that list what will be removed."""
    lines = []
    for folder in FOLDERS:
        files = [f for f in (project / folder).rglob("*") if f.is_file() and f.suffix != ".pyc"]
        lines.append(f"  {folder}/ ({len(files)} files)")
    marked = parts((project / TEMPLATE).read_text()).values()
    count = sum(len(part.splitlines()) for part in marked)
    return [*lines, f"  {count} lines of {TEMPLATE}, in the parts marked as yours"]


def _confirmed() -> bool:
    say("Type yes to continue:")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def main() -> None:
    """Remove the sample; exit with 1 and the reason if that is not possible."""
    options = _options()
    try:
        changed = uncommitted(ROOT, *FOLDERS, TEMPLATE)
    except GitError as error:
        sys.exit(f"{error}\nOnly committed files are removed, so that you can get them back.")
    if changed:
        sys.exit(
            "These changes are not committed and would be lost. Commit or revert them:\n"
            + "\n".join(f"  {path}" for path in changed)
        )
    say("This will be removed:\n" + "\n".join(_removed(ROOT)))
    say("It is replaced by a page that says hello, one event, and their tests.")
    if not options.yes and not _confirmed():
        sys.exit("Nothing was removed.")
    blank(ROOT)
    say("Done. See it with scripts/dev, then run git add --all and commit.")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("Stopped. Nothing was removed.")
