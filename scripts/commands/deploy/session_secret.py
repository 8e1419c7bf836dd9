"""The session secret in Secrets Manager, which may have changed since the stack was created."""

from typing import Any

from botocore.exceptions import ClientError  # type: ignore[import-untyped]  # ships no types

from scripts.commands.deploy.stack import Stack

_NAME = "SessionSecret"  # in infra/template.yaml


def changed_version(secrets_manager: Any, stack: Stack) -> str | None:
    """Return the id of the secret's version, for both halves to use.

    None if the secret is still the one that the stack generated. Raises ClientError.
    """
    secret = stack.resource(_NAME)
    if secret is None:
        return None
    try:
        versions = secrets_manager.describe_secret(SecretId=secret)["VersionIdsToStages"]
    except ClientError as error:
        if error.response["Error"]["Code"] == "ResourceNotFoundException":
            return None  # CloudFormation's own error will name what needs the secret
        raise
    if len(versions) == 1:
        return None
    current: str = next(id_ for id_, stages in versions.items() if "AWSCURRENT" in stages)
    return current
