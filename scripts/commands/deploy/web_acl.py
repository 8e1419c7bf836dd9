"""Checks the edge's web ACL early; CloudFront does so only at the end of a deployment."""

from typing import Any

from botocore.exceptions import ClientError  # type: ignore[import-untyped]  # ships no types


def unfit(waf: Any, arn: str) -> str | None:
    """Return why the edge cannot use a web ACL, or None if it can."""
    name, id_ = arn.split("/")[-2:]
    try:
        waf.get_web_acl(Name=name, Id=id_, Scope="CLOUDFRONT")
    except ClientError as error:
        told = error.response["Error"]
        if told["Code"].startswith("AccessDenied"):
            return None  # without the permission, leave the check to CloudFront
        return f"--web-acl {arn} cannot be read: {told['Message']} ({told['Code']})"
    return None
