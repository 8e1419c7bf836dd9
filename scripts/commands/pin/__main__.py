"""Pins the packages of pyproject.toml and package.json, and their dependencies, with hashes.

Versions that still meet the requirements are kept; --upgrade renews them. Commit the changes.
"""

import argparse
import sys

from scripts import ROOT
from scripts.commands.pin import lists, npm
from scripts.commands.pin.base import Base, BaseError
from scripts.commands.pin.lists import ListsError, ProjectError, RegistryError
from scripts.commands.pin.npm import NpmError
from scripts.terminal import say

STALE, UNREACHABLE = 1, 2  # exit statuses of --check


def _pin(packages: list[str] | None) -> None:
    """Write the lists; upgrade the packages named, all if the list is empty, none if it is None."""
    if packages is None:
        upgrade = []
    else:
        upgrade = [f"--upgrade-package={name}" for name in packages] or ["--upgrade"]
    found = lists.resolve(ROOT, upgrade)
    for line in lists.changes(ROOT, found) or ["No version has changed."]:
        say(line)
    lists.write(ROOT, found)
    npm.lock(ROOT, upgrade == ["--upgrade"])


def _check() -> int:
    """Return the exit status: 0 if the lists match pyproject.toml."""
    try:
        changes = lists.changes(ROOT, lists.resolve(ROOT))
    except RegistryError:
        say("No registry can be reached, so the lists were not compared with pyproject.toml.")
        return UNREACHABLE
    for line in changes:
        say(line)
    if changes:
        say("The lists do not match pyproject.toml. Run scripts/pin, and commit the changes.")
    return STALE if changes else 0


def _base() -> None:
    """Update the digest of the base image."""
    before = Base.read(ROOT)
    after = before.renewed()
    after.write(ROOT)
    say(f"The base image is {after}{', as before' if after == before else ''}.")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/pin", description=__doc__)
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--upgrade",
        nargs="*",
        metavar="PACKAGE",
        help="upgrade to the newest compatible versions that are a week old; all packages, or some",
    )
    what.add_argument(
        "--check", action="store_true", help="write nothing; fail if a list would change"
    )
    what.add_argument("--base", action="store_true", help="update only the base image's digest")
    return parser.parse_args()


def main() -> None:
    """Run the command line; exit with 1 and a message if that fails."""
    options = _options()
    try:
        if options.check:
            sys.exit(_check())
        elif options.base:
            _base()
        else:
            _pin(options.upgrade)
    except ProjectError:
        sys.exit("pyproject.toml has a mistake; see uv's message above. Nothing was changed.")
    except RegistryError:
        sys.exit("No registry can be reached; see uv's message above. Nothing was changed.")
    except ListsError:
        sys.exit(
            "No compatible versions were found; see uv's message above. Correct pyproject.toml."
        )
    except (BaseError, NpmError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
