"""Credentials that are missing, unknown or refused."""

from pathlib import Path

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from scripts.commands.deploy.account import Account, NoProfileError
from tests.scripts.deploy.rehearsal import REGION


def test_unknown_profile(nothing: Path) -> None:
    """A profile that does not exist is named."""
    with pytest.raises(NoProfileError, match="no profile work"):
        Account.find("work", REGION)


class Refusing:
    """A session whose credentials AWS refuses."""

    region_name = REGION

    def __init__(self, error: Exception) -> None:
        self._error = error

    def get_credentials(self) -> str:
        return "some"

    def client(self, *_: str, **__: str) -> "Refusing":
        return self

    def get_caller_identity(self) -> None:
        raise self._error


EXPIRED = ClientError({"Error": {"Message": "The token has expired", "Code": "Expired"}}, "Get")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (EXPIRED, "AWS refuses the credentials: The token has expired. Log in again"),
        (EndpointConnectionError(endpoint_url="https://sts"), "could not be checked"),
    ],
)
def test_credentials_that_do_not_work(error: Exception, words: str) -> None:
    """Refused credentials, or a failure to check them, are reported with AWS's message."""
    (sentence,) = Account(Refusing(error), None).missing()
    assert words in sentence
