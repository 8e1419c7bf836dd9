"""Deletes what scripts/deploy has created: the stack, the images, the zips, the hosts' queues.

Asks first. It can be run again: what no longer exists is skipped.
"""

import argparse
import sys

from scripts.commands.deploy import arguments
from scripts.commands.deploy.account import Account, NoProfileError
from scripts.commands.deploy.step import StepError
from scripts.commands.destroy.removal import AGAIN, destroy
from scripts.terminal import say


def _confirmed(name: str) -> bool:
    say(f"This deletes the stack {name} with everything in it. Type its name to continue:")
    return sys.stdin.readline().strip() == name


def _options() -> argparse.Namespace:
    parser = arguments.parser("scripts/destroy", __doc__)
    parser.add_argument("--yes", action="store_true", help="do not ask")
    return parser.parse_args()


def main() -> None:
    """Destroy the stack named by the arguments; exit with 1 and the reason if that fails."""
    options = _options()
    try:
        account = Account.find(options.profile, options.region)
        if missing := account.missing():
            sys.exit("\n".join(missing))
        if not options.yes and not _confirmed(options.stack):
            sys.exit("That is not its name. Nothing was deleted.")
        destroy(account, options.stack)
    except (NoProfileError, StepError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(f"Stopped. Operations that AWS has started continue there. {AGAIN}")


if __name__ == "__main__":
    main()
