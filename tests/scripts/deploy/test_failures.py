"""Known failures: reported with advice, or retried."""

import pytest

from scripts.commands.deploy.failures import known

# AWS's messages, from issues in its repositories.
SERVICE_ROLE = (
    'Resource handler returned message: "Invalid request provided: CreateCluster Invalid Request: '
    "Unable to assume the service linked role. Please verify that the ECS service linked role "
    'exists."'
)
UNVERIFIED = (
    "Access denied for operation 'AWS::CloudFront::Distribution: Your account must be verified "
    "before you can add new CloudFront resources. To verify your account, please contact AWS "
    "Support'"
)
IN_USE = (
    'Resource handler returned message: "Invalid request provided: AWS::CloudFront::VpcOrigin: The '
    'specified VPC origin is currently associated with one or more distributions."'
)
BROKEN = (
    "Error occurred during operation 'ECS Deployment Circuit Breaker was triggered'. (RequestToken)"
)
TAKEN = "One or more of the CNAMEs you provided are already associated with a different resource."


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (UNVERIFIED, "AWS Support"),
        (IN_USE, "What cannot be changed"),
        (BROKEN, "previous ones still run"),
        (TAKEN, "Another CloudFront distribution"),
    ],
)
def test_failures_with_advice(reason: str, words: str) -> None:
    """What the user must fix is not retried, but reported with what to do."""
    failure = known(reason)
    assert failure
    assert words in str(failure.advice)
    assert not failure.transient


@pytest.mark.parametrize(
    "reason",
    [
        SERVICE_ROLE,
        "The role defined for the function cannot be assumed by Lambda.",
        "The vpc 'vpc-1' has dependencies and cannot be deleted.",
        "resource sg-1 has a dependent object",
    ],
)
def test_transient_failures(reason: str) -> None:
    """Transient failures are retried."""
    failure = known(reason)
    assert failure
    assert failure.transient


def test_unknown_failures() -> None:
    """Other failures are reported in AWS's words."""
    assert known("Service did not stabilize.") is None
