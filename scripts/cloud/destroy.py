"""Deletes what scripts/deploy has made: the stack, the images, the zips, the hosts' queues.

Asks first. What is gone already is no mistake, so it can be run again.
"""

import argparse
import sys

from scripts.cloud import arguments, queues, zips
from scripts.cloud.account import Account, NoProfileError
from scripts.cloud.repository import Repository
from scripts.cloud.stack import Stack
from scripts.cloud.step import StepError, step
from scripts.terminal import say

_AGAIN = "Correct that, and run scripts/destroy again; it goes on from here."


def destroy(account: Account, name: str) -> None:
    """Delete a stack and what belongs to it, and say what stays; raise StepError."""
    cloudformation = account.client("cloudformation")
    stack = Stack(cloudformation, name)
    with step(f"Looking for the stack {name}", _AGAIN):
        outputs, parameters = stack.outputs(), stack.parameters()
    with step("Deleting the stack; the edge takes some ten minutes", _AGAIN):
        say("It is gone." if stack.delete() else "There is none.")
    if topic := outputs.get("BusTopic"):
        with step("Deleting queues that killed hosts have left", _AGAIN):
            say(f"{queues.delete(account.client('sqs'), topic)} deleted.")
    repository = Repository(account.client("ecr"), name)
    with step(f"Deleting the images in {repository.name}", _AGAIN):
        say("They are gone." if repository.delete() else "There are none.")
    with step("Deleting what sam has stored for the stack", _AGAIN):
        say(f"{zips.delete(cloudformation, account.client('s3'), name)} files deleted.")
    if parameters.get("DataOnDelete") == "Retain" and (table := outputs.get("Table")):
        say(
            f"Kept, as --keep-data said: the DynamoDB table {table}, with the messages. It costs "
            "by the gigabyte until you delete it, in the DynamoDB console."
        )


def _confirmed(name: str) -> bool:
    say(f"This deletes the stack {name} with everything in it. Type its name to go on:")
    return sys.stdin.readline().strip() == name


def _options() -> argparse.Namespace:
    parser = arguments.parser("scripts/destroy", __doc__)
    parser.add_argument("--yes", action="store_true", help="do not ask")
    return parser.parse_args()


def main() -> None:
    """Destroy what the arguments name; exit with 1 and the reason if that fails."""
    options = _options()
    try:
        account = Account.find(options.profile, options.region)
        if missing := account.missing():
            sys.exit("\n".join(missing))
        if not options.yes and not _confirmed(options.stack):
            sys.exit("That was not its name. Nothing is deleted.")
        destroy(account, options.stack)
    except (NoProfileError, StepError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(f"Stopped. What AWS has begun goes on there. {_AGAIN}")


if __name__ == "__main__":
    main()
