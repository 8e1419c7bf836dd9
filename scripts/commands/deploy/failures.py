"""Failures of CloudFormation that are known: what to do, and which pass at the second try."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Failure:
    """A failure that AWS words in a certain way."""

    words: str  # a regular expression
    advice: str | None = None
    passes: bool = False  # at the second try


KNOWN = (
    Failure("Unable to assume the service linked role", passes=True),
    Failure("cannot be assumed by", passes=True),  # a role that is only just made
    Failure("has dependencies and cannot be deleted|has a dependent object", passes=True),
    Failure(
        "account must be verified",
        "CloudFront asks this of some new accounts. Open a case with AWS Support, of the kind "
        "account and billing, which is free, and quote the reason above. When they have answered, "
        "run scripts/deploy again.",
    ),
    Failure(
        "CNAMEs? you provided are already associated|CNAMEAlreadyExists",
        "Another distribution of CloudFront has that domain, here or in another account. Take it "
        "from there, and run scripts/deploy again.",
    ),
    Failure(
        "VPC origin is currently associated",
        "No VPC origin can change while the edge uses it, nor can its tags. See docs/deploy.md, "
        '"What cannot be changed".',
    ),
    Failure(
        "[Cc]ircuit [Bb]reaker|[Dd]eployment alarm|CloudWatch alarm",
        "The new hosts did not get well, and the former ones run on. docs/deploy.md, under "
        "Rollback, says where to read why. Correct that, and run scripts/deploy again.",
    ),
)


def known(reason: str) -> Failure | None:
    """Return what is known of a failure, by AWS's reason."""
    return next((failure for failure in KNOWN if re.search(failure.words, reason)), None)
