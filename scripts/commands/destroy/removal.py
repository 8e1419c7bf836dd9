"""The steps of a removal, in their order: stack, queues, images, zips."""

from scripts.commands.deploy.account import Account
from scripts.commands.deploy.outcome import check_data
from scripts.commands.deploy.repository import Repository
from scripts.commands.deploy.stack import Stack
from scripts.commands.deploy.step import step
from scripts.commands.destroy import queues, zips
from scripts.terminal import say

AGAIN = "Correct that, and run scripts/destroy again; it continues from here."


def destroy(account: Account, name: str) -> None:
    """Delete a stack and what belongs to it, and print what is kept; raise StepError."""
    cloudformation = account.client("cloudformation")
    stack = Stack(cloudformation, name)
    with step(f"Looking for the stack {name}", AGAIN):
        outputs, kept = stack.outputs(), check_data(stack)
    with step("Deleting the stack; it takes up to half an hour", AGAIN):
        say("Deleted." if stack.delete() else "There is none.")
    if topic := outputs.get("BusTopic"):
        with step("Deleting queues left behind by killed hosts", AGAIN):
            say(f"{queues.delete(account.client('sqs'), topic)} deleted.")
    repository = Repository(account.client("ecr"), name)
    with step(f"Deleting the images in {repository.name}", AGAIN):
        say("Deleted." if repository.delete() else "There are none.")
    with step("Deleting sam's files for the stack", AGAIN):
        say(f"{zips.delete(cloudformation, account.client('s3'), name)} files deleted.")
    for resource, id_ in kept.items():
        say(f"Kept because of --keep-data: {resource}, {id_}. It costs money until you delete it.")
