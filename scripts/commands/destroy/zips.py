"""What sam has put into its own bucket for a stack: zips and templates, under the stack's name."""

from typing import Any

from scripts.commands.deploy.stack import Stack

_SAM = "aws-sam-cli-managed-default"  # the stack that sam keeps its bucket in, for all projects


def delete(cloudformation: Any, s3: Any, stack: str) -> int:
    """Delete every version of what sam keeps for a stack; return how many there were.

    The bucket itself stays: sam uses it for other stacks of the account too. Raises ClientError.
    """
    bucket = Stack(cloudformation, _SAM).outputs().get("SourceBucket")
    if not bucket:
        return 0
    count = 0
    pages = s3.get_paginator("list_object_versions")
    for page in pages.paginate(Bucket=bucket, Prefix=f"{stack}/"):
        found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        for version in found:
            s3.delete_object(Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"])
        count += len(found)
    return count
