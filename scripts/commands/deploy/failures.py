"""CloudFormation's known failures: what to do, and which are transient."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Failure:
    """A failure, identified by AWS's message."""

    words: str  # a regular expression
    advice: str | None = None
    transient: bool = False  # the second try usually succeeds


KNOWN = (
    Failure("Unable to assume the service linked role", transient=True),
    Failure("cannot be assumed by", transient=True),  # the role is very new
    Failure("has dependencies and cannot be deleted|has a dependent object", transient=True),
    Failure(
        "account must be verified",
        "CloudFront requires this of some new accounts. Open an account and billing case with AWS "
        "Support, which is free, and quote the reason above. When the account is verified, run "
        "scripts/deploy again.",
    ),
    Failure(
        "CNAMEs? you provided are already associated|CNAMEAlreadyExists",
        "Another CloudFront distribution, in this account or another, has that domain. Remove it "
        "there, and run scripts/deploy again.",
    ),
    Failure(
        "VPC origin is currently associated",
        "A VPC origin and its tags cannot change while the edge uses it. See docs/deploy.md, "
        '"What cannot be changed".',
    ),
    Failure(
        "[Cc]ircuit [Bb]reaker|[Dd]eployment alarm|CloudWatch alarm",
        "The new hosts did not become healthy, and the previous ones still run. docs/deploy.md, "
        "under Rollback, says where to find the cause. Correct it, and run scripts/deploy again.",
    ),
)


def known(reason: str) -> Failure | None:
    """Return the known failure with AWS's reason, if there is one."""
    return next((failure for failure in KNOWN if re.search(failure.words, reason)), None)
