"""docs/deployer-policy.json for tests: the calls that it allows."""

import json
from fnmatch import fnmatchcase
from typing import Any

from scripts import ROOT

POLICY = ROOT / "docs/deployer-policy.json"

# IAM's names of operations, if they differ.
PERMISSIONS = {
    "s3:DeleteObject": ("s3:DeleteObject", "s3:DeleteObjectVersion"),
    "s3:GetObject": ("s3:GetObject", "s3:GetObjectVersion"),
    "s3:HeadBucket": ("s3:ListBucket",),
    "s3:HeadObject": ("s3:GetObject",),
    "s3:ListObjectVersions": ("s3:ListBucketVersions",),
    "wafv2:GetWebAcl": ("wafv2:GetWebACL",),
}


def statements() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(POLICY.read_text())["Statement"]
    return found


def allowed(call: str, among: list[dict[str, Any]]) -> bool:
    """Whether statements allow a call for at least one resource."""
    patterns = [
        pattern
        for statement in among
        for pattern in (
            [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
        )
    ]
    # IAM ignores case.
    return all(
        any(fnmatchcase(permission.lower(), pattern.lower()) for pattern in patterns)
        for permission in PERMISSIONS.get(call, (call,))
    )
