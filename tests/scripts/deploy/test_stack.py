"""A stack in every state that CloudFormation may leave it in."""

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from scripts.commands.deploy import stack
from scripts.commands.deploy.stack import Stack
from scripts.commands.deploy.step import StackError


class Formation:
    """CloudFormation with one stack, which goes through these statuses."""

    def __init__(self, *statuses: str, events: list[dict[str, str]] | None = None) -> None:
        self._statuses = list(statuses)
        self._events = events or []
        self.deleted = 0

    def describe_stacks(self, StackName: str) -> dict[str, Any]:  # noqa: N803 - AWS's own name
        if not self._statuses:
            raise ClientError({"Error": {"Message": f"{StackName} does not exist"}}, "Describe")
        status = self._statuses.pop(0) if len(self._statuses) > 1 else self._statuses[0]
        return {"Stacks": [{"StackId": "id", "StackStatus": status}]}

    def delete_stack(self, StackName: str) -> None:  # noqa: N803 - AWS's own name
        self.deleted += 1

    def get_paginator(self, _: str) -> "Formation":
        return self

    def paginate(self, StackName: str) -> Iterator[dict[str, Any]]:  # noqa: N803 - AWS's own name
        yield {"StackEvents": self._events}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack, "_PAUSE", 0)


def event(name: str, status: str, reason: str = "") -> dict[str, str]:
    return {
        "EventId": name + status,
        "StackId": "id",
        "PhysicalResourceId": "id" if name == "chat" else name,
        "LogicalResourceId": name,
        "ResourceType": "AWS::A::Kind",
        "ResourceStatus": status,
        "ResourceStatusReason": reason,
    }


def test_first_failure_is_the_reason() -> None:
    """Of several failures in the last operation, the first one is reported."""
    events = [
        event("Late", "CREATE_FAILED", "Too late"),
        event("Edge", "CREATE_FAILED", "Resource creation cancelled"),
        event("Hosts", "CREATE_FAILED", "No such image"),
        event("chat", "CREATE_IN_PROGRESS", "User Initiated"),
        event("Old", "CREATE_FAILED", "Long ago"),
    ]
    stack = Stack(Formation("ROLLBACK_COMPLETE", events=events), "chat")
    assert stack.failure() == "Hosts (AWS::A::Kind): No such image"
    assert stack.failure(stack.last_event()) is None  # there are no later events


def test_operation_under_way_is_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    """An operation in progress is waited for, and not started again."""
    formation = Formation("UPDATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "UPDATE_COMPLETE")
    Stack(formation, "chat").settle()
    assert formation.deleted == 0
    assert "waiting for that to end" in capsys.readouterr().err


@pytest.mark.parametrize("status", ["REVIEW_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE"])
def test_stack_that_can_be_changed(status: str) -> None:
    """A stack that is complete, or was rolled back, is left alone."""
    formation = Formation(status)
    Stack(formation, "chat").settle()
    assert formation.deleted == 0


def test_stack_whose_rollback_failed() -> None:
    """A stuck stack is reported before anything is uploaded, with how to free it."""
    events = [event("Edge", "UPDATE_FAILED", "In use")]
    with pytest.raises(StackError, match=r"UPDATE_ROLLBACK_FAILED: Edge .*: In use") as error:
        Stack(Formation("UPDATE_ROLLBACK_FAILED", events=events), "chat").settle()
    assert "Continue update rollback" in str(error.value.advice)


def test_stack_whose_creation_failed(capsys: pytest.CaptureFixture[str]) -> None:
    """A stack whose creation failed is deleted, because it cannot be updated."""
    formation = Formation("ROLLBACK_COMPLETE", "ROLLBACK_COMPLETE", "DELETE_COMPLETE")
    Stack(formation, "chat").settle()
    assert formation.deleted == 1
    assert "deleting it, to create it again" in capsys.readouterr().err


def test_deletion_that_fails() -> None:
    """If a stack cannot be deleted, the remaining resource and the reason are shown."""
    events = [event("Rooms", "DELETE_FAILED", "In use")]
    formation = Formation("CREATE_COMPLETE", "DELETE_IN_PROGRESS", "DELETE_FAILED", events=events)
    with pytest.raises(StackError, match=r"Rooms \(AWS::A::Kind\): In use"):
        Stack(formation, "chat").delete()


DEPENDENT = [
    event("Network", "DELETE_FAILED", "The vpc 'vpc-1' has dependencies and cannot be deleted.")
]


def test_transient_failure_of_a_deletion(capsys: pytest.CaptureFixture[str]) -> None:
    """A deletion that fails temporarily is tried again."""
    statuses = ("CREATE_COMPLETE", "DELETE_FAILED", "DELETE_COMPLETE")
    formation = Formation(*statuses, events=DEPENDENT)
    assert Stack(formation, "chat").delete()
    assert formation.deleted == 2
    assert "Trying once more" in capsys.readouterr().err


def test_deletion_that_fails_twice() -> None:
    """A second try is the last one."""
    formation = Formation("CREATE_COMPLETE", "DELETE_FAILED", events=DEPENDENT)
    with pytest.raises(StackError, match="has dependencies"):
        Stack(formation, "chat").delete()
    assert formation.deleted == 2


def test_no_stack() -> None:
    """Without a stack there is nothing to read, to wait for or to delete."""
    none = Stack(Formation(), "chat")
    none.settle()
    assert (none.outputs(), none.parameters()) == ({}, {})
    assert (none.last_event(), none.failure()) == (None, None)
    assert (none.data(), none.retained(), none.kept()) == (set(), set(), {})
    assert not none.delete()
