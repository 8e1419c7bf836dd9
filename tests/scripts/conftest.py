"""An AWS account in this process, by moto."""

from collections.abc import Iterator

import pytest
from moto import mock_aws

from scripts.commands.deploy.account import Account
from tests.scripts.deploy.rehearsal import REGION


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    with mock_aws():
        yield Account.find(None, REGION)
