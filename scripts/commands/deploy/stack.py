"""The CloudFormation stack: its contents, its failures, and its deletion."""

import time
from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError  # type: ignore[import-untyped]

from scripts.commands.deploy.failures import known
from scripts.commands.deploy.step import StackError
from scripts.commands.dev.template import load
from scripts.terminal import say

_PAUSE = 5.0  # seconds between two calls while a stack changes

# A stack whose creation failed cannot be updated, only deleted.
_NOT_CREATED = ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED")

# Reasons of resources that fail only because another one did.
_AFTERMATH = "Resource creation cancelled", "Resource update cancelled"


class Stack:
    """The stack with a name, which may not exist. Calls may raise ClientError."""

    def __init__(self, cloudformation: Any, name: str) -> None:
        self.name = name
        self._cloudformation = cloudformation

    def describe(self) -> dict[str, Any] | None:
        """Return CloudFormation's description of the stack, or None if it does not exist."""
        return self._describe(self.name)

    def outputs(self) -> dict[str, str]:
        """Return the stack's outputs by name; empty if it does not exist."""
        found = (self.describe() or {}).get("Outputs", [])
        return {o["OutputKey"]: o["OutputValue"] for o in found}

    def parameters(self) -> dict[str, str]:
        """Return the stack's parameters by name; empty if it does not exist."""
        found = (self.describe() or {}).get("Parameters", [])
        return {p["ParameterKey"]: p["ParameterValue"] for p in found}

    def resource(self, name: str) -> str | None:
        """Return the physical id of a resource by name, or None if it does not exist."""
        return self._ids().get(name)

    def kept(self) -> dict[str, str]:
        """Return the resources that would outlive the stack: physical ids by name.

        The processed template decides, as in CloudFormation, not the parameters.
        """
        retained = self.retained()
        return {name: id_ for name, id_ in self._ids().items() if name in retained}

    def retained(self) -> set[str]:
        """Return the names of the resources that would outlive the stack."""
        return self._with_policy("Processed", "Retain")

    def data(self) -> set[str]:
        """Return the names of the resources that DataOnDelete applies to."""
        return self._with_policy("Original", {"Ref": "DataOnDelete"})

    def _with_policy(self, stage: str, policy: object) -> set[str]:
        """Return the names of the resources with a deletion policy in a stage of the template."""
        if not self.describe():
            return set()
        body = self._cloudformation.get_template(StackName=self.name, TemplateStage=stage)
        template = body["TemplateBody"]
        resources = (load(template) if isinstance(template, str) else template)["Resources"]
        return {n for n, found in resources.items() if found.get("DeletionPolicy") == policy}

    def _ids(self) -> dict[str, str]:
        """Return the physical ids of the stack's resources by name; empty if it does not exist."""
        if not self.describe():
            return {}
        pages = self._cloudformation.get_paginator("list_stack_resources")
        return {
            found["LogicalResourceId"]: str(found["PhysicalResourceId"])
            for page in pages.paginate(StackName=self.name)
            for found in page["StackResourceSummaries"]
            if found.get("PhysicalResourceId")
        }

    def settle(self) -> None:
        """Wait for an operation that is in progress; delete a stack whose creation failed.

        Raises StackError.
        """
        found = self.describe()
        if found and _changing(found):
            say(f"Stack {self.name} is {found['StackStatus']}: waiting for that to end.")
            found = self._watch(found["StackId"])
        if found and found["StackStatus"] in _NOT_CREATED:
            say(f"Stack {self.name} is {found['StackStatus']}: deleting it, to create it again.")
            self.delete()
        if found and found["StackStatus"] == "UPDATE_ROLLBACK_FAILED":
            raise StackError(
                f"the stack is UPDATE_ROLLBACK_FAILED: {self.failure() or 'no reason is given'}",
                "In the CloudFormation console, choose the stack, Stack actions, Continue update "
                "rollback. When that has ended, run scripts/deploy again.",
            )

    def delete(self) -> bool:
        """Delete the stack, wait for that, and return whether it existed; raise StackError.

        After a transient failure it tries once more.
        """
        found = self.describe()
        if not found:
            return False
        reason = self._delete(found["StackId"])
        failure = known(reason) if reason else None
        if failure and failure.transient:
            say(f"{reason} This failure is often temporary. Trying once more.")
            reason = self._delete(found["StackId"])
        if reason:
            raise StackError(reason, failure.advice if failure else None)
        return True

    def _delete(self, id_: str) -> str | None:
        """Delete the stack and wait for that; return the reason if it still exists."""
        self._cloudformation.delete_stack(StackName=self.name)
        ended = self._watch(id_)
        if not ended or ended["StackStatus"] == "DELETE_COMPLETE":
            return None
        return self.failure() or f"the stack is {ended['StackStatus']}"

    def last_event(self) -> str | None:
        """Return the id of the stack's last event, or None if there is no stack."""
        return next((event["EventId"] for event in self._history()), None)

    def failure(self, since: str | None = None) -> str | None:
        """Return why the first resource failed in the last operation, if one did.

        Events up to `since` belong to earlier operations and do not count.
        """
        reason = None
        for event in self._history():
            if event["EventId"] == since:
                break
            if _failed(event):
                what = f"{event['LogicalResourceId']} ({event['ResourceType']})"
                reason = f"{what}: {event.get('ResourceStatusReason', 'no reason is given')}"
            if _begins(event):
                break
        return reason

    def _history(self) -> Iterator[dict[str, Any]]:
        """Yield the stack's events, latest first; none if it does not exist."""
        if self.describe():
            yield from self._events(self.name)

    def _describe(self, name: str) -> dict[str, Any] | None:
        try:
            (found,) = self._cloudformation.describe_stacks(StackName=name)["Stacks"]
        except ClientError as error:
            if "does not exist" in str(error):
                return None
            raise
        stack: dict[str, Any] = found
        return stack

    def _watch(self, id_: str) -> dict[str, Any] | None:
        """Print the stack's events until the operation ends; return its description then."""
        seen = {event["EventId"] for event in self._events(id_)}
        while True:
            found = self._describe(id_)  # before its events, so that the last ones are not missed
            for event in reversed(list(self._events(id_))):
                if event["EventId"] not in seen:
                    seen.add(event["EventId"])
                    say(f"{event['ResourceStatus']:<28}{event['LogicalResourceId']}")
            if not found or not _changing(found):
                return found
            time.sleep(_PAUSE)

    def _events(self, name: str) -> Iterator[dict[str, Any]]:
        """Yield the stack's events, latest first."""
        pages = self._cloudformation.get_paginator("describe_stack_events")
        for page in pages.paginate(StackName=name):
            yield from page["StackEvents"]


def _changing(stack: dict[str, Any]) -> bool:
    """Whether an operation is in progress; a change set that awaits approval does not count."""
    status: str = stack["StackStatus"]
    return status.endswith("_IN_PROGRESS") and status != "REVIEW_IN_PROGRESS"


def _failed(event: dict[str, Any]) -> bool:
    reason, status = event.get("ResourceStatusReason", ""), str(event["ResourceStatus"])
    return status.endswith("_FAILED") and not reason.startswith(_AFTERMATH)


def _begins(event: dict[str, Any]) -> bool:
    """Whether an event is the start of an operation on the stack itself."""
    own: bool = event["PhysicalResourceId"] == event["StackId"]
    return own and event.get("ResourceStatusReason") == "User Initiated"
