"""Service-linked roles, with which AWS's services act in an account.

Each service creates its own at its first use; in a new account, that use can fail because the role
is not available yet.
"""

from collections.abc import Iterator, Sequence
from typing import Any

SERVICES = (
    "ecs.amazonaws.com",
    "ecs.application-autoscaling.amazonaws.com",
    "elasticloadbalancing.amazonaws.com",
    "vpcorigin.cloudfront.amazonaws.com",
)
VALKEY = ("elasticache.amazonaws.com",)  # needed too if the bus is Valkey


def make(iam: Any, services: Sequence[str] = SERVICES) -> Iterator[str]:
    """Create the roles that are missing; yield their services. May raise ClientError."""
    for service in services:
        if not _there(iam, service):
            try:
                iam.create_service_linked_role(AWSServiceName=service)
            except iam.exceptions.InvalidInputException:
                continue  # it has been created meanwhile
            yield service


def _there(iam: Any, service: str) -> bool:
    found = iam.list_roles(PathPrefix=f"/aws-service-role/{service}/")["Roles"]
    return bool(found)
