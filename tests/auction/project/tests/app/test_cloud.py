"""The auction on two hosts, as in the cloud: lots and leases are in DynamoDB."""

from tests.app.test_auction import sold_by_either
from tests.kit.aws import aws, make_table
from tests.kit.people import StartHosts


async def test_two_hosts_in_the_cloud(hosts: StartHosts) -> None:
    """What is bid on is sold once, also after the host is killed that sells."""
    with aws():
        places = {name: f"dynamodb:{make_table(name.title())}" for name in ("LOTS", "LEASES")}
        await sold_by_either(*await hosts(2, **places))
