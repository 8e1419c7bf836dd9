"""scripts/destroy asks before it deletes anything."""

import io

import pytest

from scripts.commands.deploy.account import Account
from scripts.commands.deploy.repository import Repository
from scripts.commands.destroy import __main__ as destroying
from tests.scripts.deploy.rehearsal import REGION


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
