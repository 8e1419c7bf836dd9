"""The lease: one host at a time holds it, and runs the `once` tasks.

`keeper` takes and renews the lease. `row` is its shared state, which `sqlite` and `dynamodb` store.
`setting` reads the setting LEASES.
"""

from socket_host.lease.keeper import Lease
from socket_host.lease.setting import open_lease, parse_leases

__all__ = ["Lease", "open_lease", "parse_leases"]
