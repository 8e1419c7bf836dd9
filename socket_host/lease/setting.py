"""The setting LEASES: where the lease is kept."""

import re

from socket_host.lease.row import LeaseStore

_TABLE = re.compile(r"[A-Za-z0-9_.-]{3,255}")

_NAME = "once"  # there is one lease: whoever holds it does all that is to be done once


def parse_leases(setting: str) -> tuple[str, str]:
    """Return the kind of a setting and its path or table; raise ValueError for any other text."""
    kind, _, place = setting.partition(":")
    if (kind == "sqlite" and place) or (kind == "dynamodb" and _TABLE.fullmatch(place)):
        return kind, place
    raise ValueError(f"must be sqlite:PATH or dynamodb:TABLE, not {setting!r}")


def open_lease(setting: str) -> LeaseStore:
    """Return what keeps the lease; it connects when it is first needed.

    Raises ValueError as `parse_leases` does.
    """
    kind, place = parse_leases(setting)
    # What it needs is imported only for it: boto3 takes as long as the rest of the host.
    if kind == "dynamodb":
        from socket_host.lease.dynamodb import DynamoDbLease

        return DynamoDbLease(place, _NAME)
    from socket_host.lease.sqlite import SqliteLease

    return SqliteLease(place, _NAME)
