"""The web ACL for the edge, looked at before CloudFront does so at the end of a deployment."""

from typing import Any

from botocore.exceptions import ClientError  # type: ignore[import-untyped]  # ships no types


def unfit(waf: Any, arn: str) -> str | None:
    """Return why the edge could not have a web ACL, or None if it could."""
    name, id_ = arn.split("/")[-2:]
    try:
        waf.get_web_acl(Name=name, Id=id_, Scope="CLOUDFRONT")
    except ClientError as error:
        told = error.response["Error"]
        if told["Code"].startswith("AccessDenied"):
            return None  # who may not look has to wait for CloudFront's word
        return f"--web-acl {arn} cannot be read: {told['Message']} ({told['Code']})"
    return None
