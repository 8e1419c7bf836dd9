"""The CloudFormation stack: what it has, why it failed, and its end."""

import time
from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError  # type: ignore[import-untyped]

from scripts.commands.deploy.failures import known
from scripts.commands.deploy.step import StackError
from scripts.commands.dev.template import load
from scripts.terminal import say

_PAUSE = 5.0  # seconds between two looks at a stack that changes

# Of a creation that failed nothing is left that could be changed; it can only be deleted.
_STILLBORN = ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED")

# What other resources say once one has failed.
_AFTERMATH = "Resource creation cancelled", "Resource update cancelled"


class Stack:
    """A stack of a name, whether it is there or not. Calls may raise ClientError."""

    def __init__(self, cloudformation: Any, name: str) -> None:
        self.name = name
        self._cloudformation = cloudformation

    def describe(self) -> dict[str, Any] | None:
        """Return what CloudFormation knows of the stack, or None if there is none."""
        return self._describe(self.name)

    def outputs(self) -> dict[str, str]:
        """Return the stack's outputs by name; none if there is no stack."""
        found = (self.describe() or {}).get("Outputs", [])
        return {o["OutputKey"]: o["OutputValue"] for o in found}

    def parameters(self) -> dict[str, str]:
        """Return the stack's parameters by name; none if there is no stack."""
        found = (self.describe() or {}).get("Parameters", [])
        return {p["ParameterKey"]: p["ParameterValue"] for p in found}

    def resource(self, name: str) -> str | None:
        """Return the physical id of the stack's resource of a name, or None if there is none."""
        return self._ids().get(name)

    def kept(self) -> dict[str, str]:
        """Return what would outlive the stack: the physical ids of its resources, by their names.

        As CloudFormation would do it, whatever the parameters say.
        """
        retained = self.retained()
        return {name: id_ for name, id_ in self._ids().items() if name in retained}

    def retained(self) -> set[str]:
        """Return the names of the resources that would outlive the stack."""
        return self._with_policy("Processed", "Retain")

    def data(self) -> set[str]:
        """Return the names of the resources that DataOnDelete is about."""
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
        """Return the physical ids of the stack's resources by their names; none if it is absent."""
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
        """Wait until nobody changes the stack any more, and clear away one that never came to be.

        Raises StackError.
        """
        found = self.describe()
        if found and _changing(found):
            say(f"Stack {self.name} is {found['StackStatus']}: waiting until that has ended.")
            found = self._watch(found["StackId"])
        if found and found["StackStatus"] in _STILLBORN:
            say(f"Stack {self.name} is {found['StackStatus']}: deleting it, to begin anew.")
            self.delete()
        if found and found["StackStatus"] == "UPDATE_ROLLBACK_FAILED":
            raise StackError(
                f"the stack is UPDATE_ROLLBACK_FAILED: {self.failure() or 'no reason is given'}",
                "In the console of CloudFormation choose the stack, Stack actions, Continue update "
                "rollback. When that has ended, run scripts/deploy again.",
            )

    def delete(self) -> bool:
        """Delete the stack, wait, and return whether it was there; raise StackError.

        What is known to go at the second try is tried twice.
        """
        found = self.describe()
        if not found:
            return False
        reason = self._delete(found["StackId"])
        failure = known(reason) if reason else None
        if failure and failure.passes:
            say(f"{reason} That is known to pass. Trying once more.")
            reason = self._delete(found["StackId"])
        if reason:
            raise StackError(reason, failure.advice if failure else None)
        return True

    def _delete(self, id_: str) -> str | None:
        """Delete the stack of an id and wait; return why it is still there, if it is."""
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

        What has happened up to the event `since` does not count: it was another operation.
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
        """Yield the stack's events, the last one first; none if there is no stack."""
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
        """Tell what happens to the stack of an id until it has ended; return what it is then."""
        seen = {event["EventId"] for event in self._events(id_)}
        while True:
            found = self._describe(id_)  # before its events, or the last ones would be missed
            for event in reversed(list(self._events(id_))):
                if event["EventId"] not in seen:
                    seen.add(event["EventId"])
                    say(f"{event['ResourceStatus']:<28}{event['LogicalResourceId']}")
            if not found or not _changing(found):
                return found
            time.sleep(_PAUSE)

    def _events(self, name: str) -> Iterator[dict[str, Any]]:
        """Yield the stack's events, the last one first."""
        pages = self._cloudformation.get_paginator("describe_stack_events")
        for page in pages.paginate(StackName=name):
            yield from page["StackEvents"]


def _changing(stack: dict[str, Any]) -> bool:
    """Whether CloudFormation is at work; a change that nobody has approved is none."""
    status: str = stack["StackStatus"]
    return status.endswith("_IN_PROGRESS") and status != "REVIEW_IN_PROGRESS"


def _failed(event: dict[str, Any]) -> bool:
    reason, status = event.get("ResourceStatusReason", ""), str(event["ResourceStatus"])
    return status.endswith("_FAILED") and not reason.startswith(_AFTERMATH)


def _begins(event: dict[str, Any]) -> bool:
    """Whether an event is the beginning of an operation, which is the stack's own."""
    own: bool = event["PhysicalResourceId"] == event["StackId"]
    return own and event.get("ResourceStatusReason") == "User Initiated"
