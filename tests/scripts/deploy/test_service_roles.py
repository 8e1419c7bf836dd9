"""Service-linked roles, which a new account lacks."""

from scripts.commands.deploy import service_roles
from scripts.commands.deploy.account import Account


def test_roles_are_made_once(account: Account) -> None:
    """A role is created if it is missing, and left alone otherwise."""
    iam = account.client("iam")
    iam.create_service_linked_role(AWSServiceName=service_roles.SERVICES[0])
    assert [*service_roles.make(iam)] == [*service_roles.SERVICES[1:]]
    assert [*service_roles.make(iam)] == []


def test_role_that_is_created_meanwhile(account: Account) -> None:
    """A role that is created by somebody else in between is not an error."""
    iam = account.client("iam")
    error = iam.exceptions.InvalidInputException(
        {"Error": {"Message": "has been taken in this account"}}, "CreateServiceLinkedRole"
    )

    class Taken:
        exceptions = iam.exceptions

        def list_roles(self, **_: str) -> dict[str, list[str]]:
            return {"Roles": []}

        def create_service_linked_role(self, **_: str) -> None:
            raise error

    assert [*service_roles.make(Taken())] == []
