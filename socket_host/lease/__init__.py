"""The lease: one host at a time holds it, and does what is to be done once.

`keeper` takes the lease, renews it, and knows for how long it holds. `row` is what all hosts see of
it; `sqlite` and `dynamodb` keep that. `setting` reads the setting LEASES.
"""

from socket_host.lease.keeper import Lease
from socket_host.lease.setting import open_lease, parse_leases

__all__ = ["Lease", "open_lease", "parse_leases"]
