"""Writes what pyproject.toml and package.json ask for, and all that needs, into lists with hashes.

Versions stay as they are, as long as they suit; --upgrade renews them. Commit what has changed.
"""

import argparse
import sys

from scripts import ROOT
from scripts.commands.pin import lists, npm
from scripts.commands.pin.base import Base, BaseError
from scripts.commands.pin.lists import ListsError, RegistryError
from scripts.commands.pin.npm import NpmError
from scripts.terminal import say

STALE, UNREACHABLE = 1, 2  # exit statuses of --check


def _pin(packages: list[str] | None) -> None:
    """Write the lists; renew the packages named, all if none is, or none at all if that is None."""
    if packages is None:
        upgrade = []
    else:
        upgrade = [f"--upgrade-package={name}" for name in packages] or ["--upgrade"]
    found = lists.resolve(ROOT, upgrade)
    for line in lists.changes(ROOT, found) or ["Every version stays as it is."]:
        say(line)
    lists.write(ROOT, found)
    npm.lock(ROOT, upgrade == ["--upgrade"])


def _check() -> int:
    """Return 0 if the lists hold what pyproject.toml asks for, else another exit status."""
    try:
        changes = lists.changes(ROOT, lists.resolve(ROOT))
    except RegistryError:
        say("No registry can be asked, so the lists were not compared with pyproject.toml.")
        return UNREACHABLE
    for line in changes:
        say(line)
    if changes:
        say("The lists are not what pyproject.toml asks for. Run scripts/pin and commit.")
    return STALE if changes else 0


def _base() -> None:
    """Renew the digest of the base image."""
    before = Base.read(ROOT)
    after = before.renewed()
    after.write(ROOT)
    say(f"The image begins with {after}{', as before' if after == before else ''}.")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/pin", description=__doc__)
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--upgrade",
        nargs="*",
        metavar="PACKAGE",
        help="to the newest versions that go together and are a week old; of all, or of some",
    )
    what.add_argument("--check", action="store_true", help="write nothing; fail if it would change")
    what.add_argument("--base", action="store_true", help="only renew the base image's digest")
    return parser.parse_args()


def main() -> None:
    """Do what the command line asks; exit with 1 and a sentence if that fails."""
    options = _options()
    try:
        if options.check:
            sys.exit(_check())
        elif options.base:
            _base()
        else:
            _pin(options.upgrade)
    except RegistryError:
        sys.exit("No registry can be asked; uv has said why. Nothing is changed.")
    except ListsError:
        sys.exit("No versions go together; uv has said why. Correct pyproject.toml.")
    except (BaseError, NpmError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
