"""The steps of a removal, in their order: stack, queues, images, zips."""

from scripts.commands.deploy.account import Account
from scripts.commands.deploy.outcome import check_data
from scripts.commands.deploy.repository import Repository
from scripts.commands.deploy.stack import Stack
from scripts.commands.deploy.step import step
from scripts.commands.destroy import queues, zips
from scripts.terminal import say

AGAIN = "Correct that, and run scripts/destroy again; it goes on from here."


def destroy(account: Account, name: str) -> None:
    """Delete a stack and what belongs to it, and say what stays; raise StepError."""
    cloudformation = account.client("cloudformation")
    stack = Stack(cloudformation, name)
    with step(f"Looking for the stack {name}", AGAIN):
        outputs, kept = stack.outputs(), check_data(stack)
    with step("Deleting the stack; it takes up to half an hour", AGAIN):
        say("It is gone." if stack.delete() else "There is none.")
    if topic := outputs.get("BusTopic"):
        with step("Deleting queues that killed hosts have left", AGAIN):
            say(f"{queues.delete(account.client('sqs'), topic)} deleted.")
    repository = Repository(account.client("ecr"), name)
    with step(f"Deleting the images in {repository.name}", AGAIN):
        say("They are gone." if repository.delete() else "There are none.")
    with step("Deleting what sam has stored for the stack", AGAIN):
        say(f"{zips.delete(cloudformation, account.client('s3'), name)} files deleted.")
    for resource, id_ in kept.items():
        say(f"Kept, as --keep-data said: {resource}, {id_}. It costs until you delete it yourself.")
