"""A stack's image repository, in the account's own registry (ECR)."""

import base64
import json
from typing import Any

KEPT = 10  # images: the one that runs, and earlier ones for rollbacks

_LIFECYCLE = {
    "rules": [
        {
            "rulePriority": 1,
            "description": f"Keep the {KEPT} newest images.",
            "selection": {
                "tagStatus": "any",
                "countType": "imageCountMoreThan",
                "countNumber": KEPT,
            },
            "action": {"type": "expire"},
        }
    ]
}


class Repository:
    """The repository of one stack, which may not exist yet. Calls may raise ClientError."""

    def __init__(self, ecr: Any, stack: str) -> None:
        self.name = f"sidepath/{stack}"
        self._ecr = ecr

    def make(self) -> str:
        """Create the repository if it does not exist, and return its URI.

        Tags are immutable, and images are scanned for known vulnerabilities.
        """
        try:
            made = self._ecr.create_repository(
                repositoryName=self.name,
                imageTagMutability="IMMUTABLE",
                imageScanningConfiguration={"scanOnPush": True},
            )
            uri: str = made["repository"]["repositoryUri"]
        except self._ecr.exceptions.RepositoryAlreadyExistsException:
            (found,) = self._ecr.describe_repositories(repositoryNames=[self.name])["repositories"]
            uri = found["repositoryUri"]
        # Every time, because an earlier run may have been interrupted before this.
        self._ecr.put_lifecycle_policy(
            repositoryName=self.name, lifecyclePolicyText=json.dumps(_LIFECYCLE)
        )
        return uri

    def digest(self, tag: str) -> str | None:
        """Return the digest of the image with a tag; None if there is no such image."""
        try:
            (found,) = self._ecr.describe_images(
                repositoryName=self.name, imageIds=[{"imageTag": tag}]
            )["imageDetails"]
        except (
            self._ecr.exceptions.ImageNotFoundException,
            self._ecr.exceptions.RepositoryNotFoundException,
        ):
            return None
        digest: str = found["imageDigest"]
        return digest

    def login(self) -> tuple[str, str]:
        """Return a user and a password for the registry, valid for twelve hours."""
        (found,) = self._ecr.get_authorization_token()["authorizationData"]
        token = base64.b64decode(found["authorizationToken"]).decode()
        user, _, password = token.partition(":")
        return user, password

    def delete(self) -> bool:
        """Delete the repository with all images; return whether it existed."""
        try:
            self._ecr.delete_repository(repositoryName=self.name, force=True)
        except self._ecr.exceptions.RepositoryNotFoundException:
            return False
        return True
