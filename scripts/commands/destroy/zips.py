"""The zips and templates of a stack in sam's own bucket, under the stack's name."""

from typing import Any

from scripts.commands.deploy.stack import Stack

_SAM = "aws-sam-cli-managed-default"  # the stack of sam's bucket, which all projects share


def delete(cloudformation: Any, s3: Any, stack: str) -> int:
    """Delete every version of sam's files for a stack; return how many there were.

    The bucket itself stays, because sam uses it for the account's other stacks. Raises ClientError.
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
