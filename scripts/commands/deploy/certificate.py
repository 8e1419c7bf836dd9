"""Checks a domain's certificate early; CloudFront does so only at the end of a deployment."""

from typing import Any

from botocore.exceptions import ClientError  # type: ignore[import-untyped]  # ships no types

REGION = "us-east-1"  # the region of CloudFront's certificates and web ACLs


def unfit(acm: Any, arn: str, domain: str) -> str | None:
    """Return why CloudFront would refuse a certificate for a domain, or None."""
    try:
        found = acm.describe_certificate(CertificateArn=arn)["Certificate"]
    except ClientError as error:
        told = error.response["Error"]
        if told["Code"].startswith("AccessDenied"):
            return None  # without the permission, leave the check to CloudFront
        return f"--certificate {arn} cannot be read: {told['Message']} ({told['Code']})"
    if found["Status"] != "ISSUED":
        return (
            f"--certificate {arn} is {found['Status']}, but must be ISSUED. The AWS Certificate "
            f"Manager console in {REGION} shows the DNS record that it needs."
        )
    names = {found["DomainName"], *found.get("SubjectAlternativeNames", [])}
    if not names & {domain, "*." + domain.partition(".")[2]}:
        return f"--certificate {arn} is for {', '.join(sorted(names))}, not for {domain}."
    return None
