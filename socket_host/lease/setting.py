"""The setting LEASES: where the lease is stored."""

import re

from socket_host.lease.row import LeaseStore

_TABLE = re.compile(r"[A-Za-z0-9_.-]{3,255}")

_NAME = "once"  # there is one lease; its holder runs all `once` tasks


def parse_leases(setting: str) -> tuple[str, str]:
    """Return the kind of store and its path or table; raise ValueError if the setting is wrong."""
    kind, _, place = setting.partition(":")
    if (kind == "sqlite" and place) or (kind == "dynamodb" and _TABLE.fullmatch(place)):
        return kind, place
    raise ValueError(f"must be sqlite:PATH or dynamodb:TABLE, not {setting!r}")


def open_lease(setting: str) -> LeaseStore:
    """Return the store of the lease, which connects when it is first used.

    Raises ValueError as `parse_leases` does.
    """
    kind, place = parse_leases(setting)
    # Imported only if needed, because boto3 is slow to import.
    if kind == "dynamodb":
        from socket_host.lease.dynamodb import DynamoDbLease

        return DynamoDbLease(place, _NAME)
    from socket_host.lease.sqlite import SqliteLease

    return SqliteLease(place, _NAME)
