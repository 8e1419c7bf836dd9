"""docs/deployer-policy.json allows what CloudFormation does for the deployer."""

import re

import pytest

from scripts.commands.deploy.service_roles import SERVICES, VALKEY
from tests.infra.templates import Json, schema
from tests.scripts.deploy.policy import POLICY, allowed, statements

pytestmark = pytest.mark.together("template")

# Calls that CloudFormation's schemas list for properties that this template lacks, with the
# reasons.
NOT_NEEDED = {
    "codedeploy:*": "deployments in blue and green",
    "cognito-idp:*": "a listener that signs people in",
    "elasticfilesystem:*": "functions with a file system",
    "firehose:*": "a dashboard's metric stream",
    "iam:*GroupPolicy": "policies of groups; these are of roles",
    "iam:*UserPolicy": "policies of users; these are of roles",
    "iam:*RolePermissionsBoundary": "roles with a boundary",
    "iam:CreateServiceLinkedRole": "allowed, outside of CloudFormation too",
    "kinesis:*": "tables that stream",
    "kms:*": "keys of one's own",
    "s3:GetObjectMetadata": "no permission that IAM knows",
    "s3:REST.PUT.OBJECT": "no permission that IAM knows",
    "s3files:*": "functions with a file system",
    "sts:AssumeRole": "logs that are delivered elsewhere",
}


def needed(template: Json) -> set[str]:
    """The calls with which CloudFormation creates, reads, updates and deletes the resources."""
    found: set[str] = set()
    for kind in {resource["Type"] for resource in template["Resources"].values()}:
        if kind.startswith("Custom::"):
            continue
        handlers = schema(kind).get("handlers", {})
        for verb in ("create", "read", "update", "delete"):
            found |= {*handlers.get(verb, {}).get("permissions", ())}
    return found


def test_policy_allows_what_cloudformation_does(template: Json) -> None:
    """All calls for the template's kinds of resources are allowed."""
    wanted = needed(template)
    assert len(wanted) > 100
    patterns = [{"Action": pattern} for pattern in NOT_NEEDED]
    refused = {call for call in wanted if not allowed(call, statements())}
    assert not {call for call in refused if not allowed(call, patterns)}
    assert "iam:PassRole" in wanted - refused


def test_custom_resource_can_be_called() -> None:
    """CloudFormation may call the stack's own function for its custom resource."""
    assert allowed("lambda:InvokeFunction", statements())


def test_policy_can_be_created() -> None:
    """The policy is small enough for a managed policy, and each permission is limited."""
    text = POLICY.read_text()
    assert len(re.sub(r"\s", "", text)) <= 6144
    for statement in statements():
        bounded = statement["Resource"] != "*" or "aws:CalledVia" in str(statement)
        harmless = {"Get", "Describe", "List"}
        assert bounded or all(
            any(action.split(":")[1].startswith(verb) for verb in harmless)
            for action in statement["Action"]
        ), statement["Sid"]


# Resources that AWS services manage with a service-linked role, and the services.
BY_ROLES = {
    "AWS::ApplicationAutoScaling::ScalableTarget": "ecs.application-autoscaling.amazonaws.com",
    "AWS::CloudFront::VpcOrigin": "vpcorigin.cloudfront.amazonaws.com",
    "AWS::ECS::Service": "ecs.amazonaws.com",
    "AWS::ElastiCache::ReplicationGroup": "elasticache.amazonaws.com",
    "AWS::ElasticLoadBalancingV2::LoadBalancer": "elasticloadbalancing.amazonaws.com",
}


def test_roles_of_services_are_made(template: Json) -> None:
    """scripts/deploy creates the roles that the template's resources need, and Valkey's."""
    needed: dict[bool, set[str]] = {False: set(), True: set()}
    for resource in template["Resources"].values():
        if service := BY_ROLES.get(resource["Type"]):
            needed["Condition" in resource].add(service)
    assert needed == {False: {*SERVICES}, True: {*VALKEY}}


def test_roles_of_services_are_allowed() -> None:
    """The policy allows the service-linked roles that scripts/deploy creates, and no others."""
    (statement,) = [found for found in statements() if found["Sid"] == "RolesOfServices"]
    allowed = statement["Condition"]["StringEquals"]["iam:AWSServiceName"]
    assert {*SERVICES, *VALKEY} <= set(allowed)
