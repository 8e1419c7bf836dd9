"""The image's repository."""

import json

from scripts.commands.deploy.account import Account
from scripts.commands.deploy.repository import Repository


def test_repository(account: Account) -> None:
    """The repository has immutable tags, scans images, and expires old ones."""
    ecr = account.client("ecr")
    repository = Repository(ecr, "chat")
    assert repository.make() == repository.make()
    (made,) = ecr.describe_repositories()["repositories"]
    assert made["repositoryName"] == "sidepath/chat"
    assert made["imageTagMutability"] == "IMMUTABLE"
    assert made["imageScanningConfiguration"] == {"scanOnPush": True}
    policy = ecr.get_lifecycle_policy(repositoryName="sidepath/chat")["lifecyclePolicyText"]
    assert json.loads(policy)["rules"][0]["selection"]["countNumber"] == 10
    assert repository.digest("none") is None
    assert [repository.delete(), repository.delete()] == [True, False]
