"""The roles of AWS's services, which a new account has not got."""

from scripts.commands.deploy import service_roles
from scripts.commands.deploy.account import Account


def test_roles_are_made_once(account: Account) -> None:
    """Each role is made where it is absent, and left alone where it is there."""
    iam = account.client("iam")
    iam.create_service_linked_role(AWSServiceName=service_roles.SERVICES[0])
    assert [*service_roles.make(iam)] == [*service_roles.SERVICES[1:]]
    assert [*service_roles.make(iam)] == []


def test_role_that_somebody_else_makes(account: Account) -> None:
    """A role that comes into being between the look and the making is no failure."""
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
