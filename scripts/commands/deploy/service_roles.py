"""The roles that services of AWS act by in an account.

Each service makes its own when it is first used, and in a new account uses it before it is there.
"""

from collections.abc import Iterator, Sequence
from typing import Any

SERVICES = (
    "ecs.amazonaws.com",
    "ecs.application-autoscaling.amazonaws.com",
    "elasticloadbalancing.amazonaws.com",
    "vpcorigin.cloudfront.amazonaws.com",
)
VALKEY = ("elasticache.amazonaws.com",)  # needed besides where the bus is Valkey


def make(iam: Any, services: Sequence[str] = SERVICES) -> Iterator[str]:
    """Make the roles that are absent; yield the services they are for. May raise ClientError."""
    for service in services:
        if not _there(iam, service):
            try:
                iam.create_service_linked_role(AWSServiceName=service)
            except iam.exceptions.InvalidInputException:
                continue  # somebody else has made it meanwhile
            yield service


def _there(iam: Any, service: str) -> bool:
    found = iam.list_roles(PathPrefix=f"/aws-service-role/{service}/")["Roles"]
    return bool(found)
