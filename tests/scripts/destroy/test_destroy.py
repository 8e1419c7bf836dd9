"""scripts/destroy asks before it deletes anything."""

import io
import json

import pytest

from scripts.commands.deploy.account import Account
from scripts.commands.deploy.repository import Repository
from scripts.commands.deploy.step import StepError
from scripts.commands.destroy import __main__ as destroying
from scripts.commands.destroy.removal import destroy
from tests.scripts.deploy.rehearsal import REGION

pytestmark = pytest.mark.together("template")


@pytest.mark.parametrize("typed", ["", "sidepat\n", "yes\n"])
def test_nothing_goes_without_its_name(
    typed: str, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where something else than the stack's name is typed, nothing is deleted."""
    Repository(account.client("ecr"), "sidepath").make()
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    monkeypatch.setattr("sys.argv", ["scripts/destroy", "--region", REGION])
    with pytest.raises(SystemExit, match="Nothing is deleted"):
        destroying.main()
    assert account.client("ecr").describe_repositories()["repositories"]


def test_data_that_would_be_lost_stops_it(account: Account) -> None:
    """A stack that was told to keep its data, and would not, stays as it is."""
    cloudformation = account.client("cloudformation")
    # moto takes no parameter for a policy, as CloudFormation would without the transform.
    template = {
        "Parameters": {"DataOnDelete": {"Type": "String"}},
        "Resources": {
            "Data": {"Type": "AWS::SNS::Topic", "DeletionPolicy": {"Ref": "DataOnDelete"}}
        },
    }
    cloudformation.create_stack(
        StackName="sidepath",
        TemplateBody=json.dumps(template),
        Parameters=[{"ParameterKey": "DataOnDelete", "ParameterValue": "Retain"}],
    )
    with pytest.raises(StepError, match="would delete Data, and was told to keep it"):
        destroy(account, "sidepath")
    assert len(cloudformation.describe_stacks(StackName="sidepath")["Stacks"]) == 1
