"""The AWS account and region, from this machine's credentials."""

from dataclasses import dataclass
from typing import Any, Self

import boto3  # type: ignore[import-untyped]  # boto3 and botocore ship no types
from botocore.exceptions import BotoCoreError, ClientError, ProfileNotFound  # type: ignore[import-untyped]

_GET_CREDENTIALS = (
    "Create an access key in the AWS console and put it in ~/.aws/credentials, or in "
    "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; --profile chooses one of several."
)
_REGION = "No region is chosen. Use --region, such as --region eu-west-1, or AWS_DEFAULT_REGION."


class NoProfileError(Exception):
    """There is no profile with that name; the text says what to do."""


@dataclass(frozen=True)
class Account:
    """Clients for one account and region."""

    session: Any  # boto3's, which ships no types
    profile: str | None

    @classmethod
    def find(cls, profile: str | None, region: str | None) -> Self:
        """Return the account named by arguments or environment, or raise NoProfileError."""
        try:
            session = boto3.Session(profile_name=profile, region_name=region)
        except ProfileNotFound:
            raise NoProfileError(f"~/.aws has no profile {profile}. {_GET_CREDENTIALS}") from None
        return cls(session, profile)

    @property
    def region(self) -> str | None:
        """The region's name, or None if none was chosen."""
        name: str | None = self.session.region_name
        return name

    def client(self, service: str, region: str | None = None) -> Any:
        """Return a client for an AWS service, in the account's region or another."""
        return self.session.client(service, region_name=region or self.region)

    def missing(self) -> list[str]:
        """Return what is missing to call AWS: a sentence for each, with what to do."""
        return [
            sentence
            for sentence in (self._credentials(), None if self.region else _REGION)
            if sentence
        ]

    def _credentials(self) -> str | None:
        try:
            if self.session.get_credentials() is None:
                return f"AWS credentials are missing. {_GET_CREDENTIALS}"
            # Any region will do.
            sts = self.session.client("sts", region_name=self.region or "us-east-1")
            sts.get_caller_identity()
        except ClientError as error:
            why = error.response.get("Error", {}).get("Message")
            return f"AWS refuses the credentials: {why}. Log in again, or: {_GET_CREDENTIALS}"
        except BotoCoreError as error:
            return f"The credentials could not be checked: {error}"
        return None
