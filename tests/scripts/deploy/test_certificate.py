"""Certificates and web ACLs that CloudFront would refuse only at the end of a deployment."""

import json
from typing import Any
from unittest.mock import Mock

import pytest
from botocore.exceptions import ClientError

from scripts import ROOT
from scripts.commands.deploy import certificate, web_acl
from scripts.commands.deploy.account import Account

ARN = "arn:aws:acm:us-east-1:123456789012:certificate/1-2-3"


class ACM:
    """Certificate Manager with one certificate."""

    def __init__(self, status: str, *names: str) -> None:
        self._found = {"Status": status, "DomainName": names[0], "SubjectAlternativeNames": names}

    def describe_certificate(self, CertificateArn: str) -> dict[str, Any]:  # noqa: N803 - AWS's own
        return {"Certificate": self._found}


@pytest.mark.parametrize(
    ("acm", "why"),
    [
        (ACM("ISSUED", "chat.example.com"), None),
        (ACM("ISSUED", "example.com", "*.example.com"), None),
        (
            ACM("PENDING_VALIDATION", "chat.example.com"),
            "is PENDING_VALIDATION, but must be ISSUED",
        ),
        (ACM("EXPIRED", "chat.example.com"), "is EXPIRED"),
        (ACM("ISSUED", "example.com"), "is for example.com, not for chat.example.com"),
        (ACM("ISSUED", "*.chat.example.com"), ", not for chat.example.com"),
    ],
)
def test_certificate(acm: ACM, why: str | None) -> None:
    """A certificate must be issued, and for the domain, or a wildcard one level above."""
    sentence = certificate.unfit(acm, ARN, "chat.example.com")
    assert sentence is None if why is None else why in str(sentence)


def test_missing_resources(account: Account) -> None:
    """A certificate or web ACL that does not exist is reported in AWS's words."""
    acm, waf = (account.client(name, certificate.REGION) for name in ("acm", "wafv2"))
    why = certificate.unfit(acm, ARN, "chat.example.com")
    assert "cannot be read" in str(why)
    assert "ResourceNotFoundException" in str(why)
    acl = "arn:aws:wafv2:us-east-1:123456789012:global/webacl/a/1-2-3"
    assert "WAFNonexistentItemException" in str(web_acl.unfit(waf, acl))


def test_existing_web_acl(account: Account) -> None:
    """A web ACL from infra/web-acl.json is accepted."""
    waf = account.client("wafv2", certificate.REGION)
    made = waf.create_web_acl(**json.loads((ROOT / "infra/web-acl.json").read_text()))
    assert web_acl.unfit(waf, made["Summary"]["ARN"]) is None


def test_deployer_without_permission() -> None:
    """A deployer without permission to look it up can still deploy."""
    refused = ClientError({"Error": {"Code": "AccessDeniedException", "Message": "No."}}, "Get")
    aws = Mock(
        **{f"{name}.side_effect": refused for name in ("describe_certificate", "get_web_acl")}
    )
    assert certificate.unfit(aws, ARN, "chat.example.com") is None
    assert web_acl.unfit(aws, "arn:aws:wafv2:us-east-1:1:global/webacl/a/1-2-3") is None
