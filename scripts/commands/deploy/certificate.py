"""The certificate for a domain, looked at before CloudFront does so at the end of a deployment."""

from typing import Any

from botocore.exceptions import ClientError  # type: ignore[import-untyped]  # ships no types

REGION = "us-east-1"  # where CloudFront looks for certificates and web ACLs


def unfit(acm: Any, arn: str, domain: str) -> str | None:
    """Return why CloudFront would not take a certificate for a domain, or None if it would."""
    try:
        found = acm.describe_certificate(CertificateArn=arn)["Certificate"]
    except ClientError as error:
        told = error.response["Error"]
        if told["Code"].startswith("AccessDenied"):
            return None  # who may not look has to wait for CloudFront's word
        return f"--certificate {arn} cannot be read: {told['Message']} ({told['Code']})"
    if found["Status"] != "ISSUED":
        return (
            f"--certificate {arn} is {found['Status']}, and has to be ISSUED. The console of AWS "
            f"Certificate Manager, in {REGION}, says which DNS record it waits for."
        )
    names = {found["DomainName"], *found.get("SubjectAlternativeNames", [])}
    if not names & {domain, "*." + domain.partition(".")[2]}:
        return f"--certificate {arn} is for {', '.join(sorted(names))}, and not for {domain}."
    return None
