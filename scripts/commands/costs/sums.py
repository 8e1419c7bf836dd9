"""Costs in dollars a month, from the prices and a deployment's quantities."""

from dataclasses import dataclass

from scripts.commands.costs.deployment import Deployment
from scripts.commands.costs.prices import Price

_HOURS = 730  # a month
_SECONDS = _HOURS * 3_600
_MINUTES = _HOURS * 60
_MILLION = 1_000_000
_CAPACITY = 3_000  # connections per capacity unit of a load balancer

_RECEIVE_AND_DELETE = 2  # requests per message, if messages arrive one at a time


@dataclass(frozen=True)
class Sums:
    """The costs of a number of hosts, sockets and emits."""

    prices: dict[str, Price]
    deployment: Deployment

    def price(self, name: str) -> float:
        """Return a price in the table."""
        return self.prices[name].price

    # ---- What runs ----

    def host(self, processor: str = "arm64") -> float:
        """Return the cost of one socket host, without its address."""
        vcpu = self.deployment.vcpu * self.price(f"fargate-{processor}-vcpu")
        memory = self.deployment.memory * self.price(f"fargate-{processor}-gigabyte")
        return (vcpu + memory) * _HOURS

    def address(self) -> float:
        """Return the cost of a host's public address."""
        return self.price("public-address") * _HOURS

    def balancer(self, sockets: int, connections: int = 1) -> float:
        """Return the cost of the load balancer, with this many connections per socket."""
        units = sockets * connections / _CAPACITY
        return (self.price("balancer") + units * self.price("balancer-capacity")) * _HOURS

    def capacity(self) -> float:
        """Return the cost of one capacity unit of the load balancer."""
        return self.price("balancer-capacity") * _HOURS

    def snapshot(self) -> float:
        """Return the cost of the function's snapshot."""
        return self.deployment.snapshot * self.price("snapshot") * _SECONDS

    def watching(self) -> float:
        """Return the cost of alarms, the metric and the dashboard."""
        has = self.deployment
        return (
            has.alarms * self.price("alarm")
            + has.metrics * self.price("metric")
            + has.dashboards * self.price("dashboard")
        )

    def secrets(self) -> float:
        """Return the cost of secrets, without Valkey's."""
        return self.deployment.secrets * self.price("secret")

    def hosts(self, sockets: int) -> int:
        """Return how many hosts autoscaling runs for a number of sockets."""
        return max(self.deployment.hosts, -(-sockets // self.deployment.clients))

    def without_bus(self, sockets: int) -> float:
        """Return the cost of everything except the bus."""
        each = self.host() + self.address()
        rest = self.snapshot() + self.secrets() + self.watching()
        return self.hosts(sockets) * each + self.balancer(sockets) + rest

    # ---- The bus ----

    def sns(self, hosts: int, emits: float = 0) -> float:
        """Return the cost of SNS and SQS, at `emits` a second of all hosts together."""
        return self.sns_heartbeats(hosts) + emits * self.sns_emit(hosts)

    def sns_heartbeats(self, hosts: int) -> float:
        """Return the cost of the hosts' heartbeats, which every host receives."""
        return hosts / self.deployment.heartbeat * self.sns_emit(hosts)

    def sns_emit(self, hosts: int) -> float:
        """Return the cost of one message a second, which every host receives."""
        return self._each_second(self.price("sns-publish") + hosts * self._delivery())

    def valkey(self, hosts: int) -> float:
        """Return the cost of Valkey, with any number of emits; functions can emit too."""
        has = self.deployment
        nodes = has.valkey_nodes * self.price("valkey-node") * _HOURS
        polls = hosts * self._each_second(self.price("sqs-request")) / has.poll
        watching = has.valkey_alarms * self.price("alarm")
        return nodes + polls + watching + has.valkey_secrets * self.price("secret")

    def valkey_function_emit(self) -> float:
        """Return the cost of one emit a second by functions with Valkey: one host receives it."""
        return self._each_second(self.price("sns-publish") + self._delivery())

    def break_even(self, hosts: int) -> float:
        """Return the emits a second at which SNS and SQS cost as much as Valkey; 0 if none."""
        left = self.valkey(hosts) - self.sns_heartbeats(hosts)
        return max(0.0, left / self.sns_emit(hosts))

    def _delivery(self) -> float:
        requests = _RECEIVE_AND_DELETE * self.price("sqs-request")
        return self.price("sns-deliver") + requests

    def _each_second(self, a_million: float) -> float:
        return a_million * _SECONDS / _MILLION

    # ---- What is not here ----

    def websockets(self, sockets: int) -> float:
        """Return API Gateway's price for a number of idle sockets."""
        return sockets * _MINUTES / _MILLION * self.price("websocket-minutes")

    def websockets_break_even(self) -> float:
        """Return the number of idle sockets at which API Gateway costs as much as Sidepath."""
        return (self.without_bus(0) + self.sns(self.deployment.hosts)) / self.websockets(1)

    def stored(self) -> float:
        """Return the cost of storing a million messages: two items each, in a transaction."""
        return 2 * 2 * self.price("table-write")

    def web_acl(self) -> float:
        """Return the cost of a web ACL with one rule."""
        return self.price("web-acl") + self.price("web-acl-rule")

    def nat_gateway(self) -> float:
        """Return the cost of a NAT gateway, without its traffic."""
        return self.price("nat-gateway") * _HOURS

    def endpoints(self, services: int) -> float:
        """Return the cost of interface endpoints for a number of services in one zone."""
        return services * self.price("endpoint") * _HOURS
