"""The sums, in dollars a month: of prices, and of what a deployment has."""

from dataclasses import dataclass

from scripts.commands.costs.deployment import Deployment
from scripts.commands.costs.prices import Price

_HOURS = 730  # a month
_SECONDS = _HOURS * 3_600
_MINUTES = _HOURS * 60
_MILLION = 1_000_000
_CAPACITY = 3_000  # connections of a balancer's capacity unit

_RECEIVE_AND_DELETE = 2  # requests for a message, if each comes alone


@dataclass(frozen=True)
class Sums:
    """What a number of hosts, sockets and emits cost."""

    prices: dict[str, Price]
    deployment: Deployment

    def price(self, name: str) -> float:
        """Return a price of the table."""
        return self.prices[name].price

    # ---- What runs ----

    def host(self, processor: str = "arm64") -> float:
        """Return what one socket host costs, without its address."""
        vcpu = self.deployment.vcpu * self.price(f"fargate-{processor}-vcpu")
        memory = self.deployment.memory * self.price(f"fargate-{processor}-gigabyte")
        return (vcpu + memory) * _HOURS

    def address(self) -> float:
        """Return what a host's public address costs."""
        return self.price("public-address") * _HOURS

    def balancer(self, sockets: int, connections: int = 1) -> float:
        """Return what the load balancer costs, if it counts so many connections a socket."""
        units = sockets * connections / _CAPACITY
        return (self.price("balancer") + units * self.price("balancer-capacity")) * _HOURS

    def capacity(self) -> float:
        """Return what one capacity unit of the load balancer costs."""
        return self.price("balancer-capacity") * _HOURS

    def snapshot(self) -> float:
        """Return what the function's snapshot costs."""
        return self.deployment.snapshot * self.price("snapshot") * _SECONDS

    def watching(self) -> float:
        """Return what alarms, the client metric and the dashboard cost."""
        has = self.deployment
        return (
            has.alarms * self.price("alarm")
            + has.metrics * self.price("metric")
            + has.dashboards * self.price("dashboard")
        )

    def secrets(self) -> float:
        """Return what secrets cost, without that of Valkey."""
        return self.deployment.secrets * self.price("secret")

    def hosts(self, sockets: int) -> int:
        """Return how many hosts autoscaling runs for so many sockets."""
        return max(self.deployment.hosts, -(-sockets // self.deployment.clients))

    def without_bus(self, sockets: int) -> float:
        """Return what all costs but the bus."""
        each = self.host() + self.address()
        rest = self.snapshot() + self.secrets() + self.watching()
        return self.hosts(sockets) * each + self.balancer(sockets) + rest

    # ---- The bus ----

    def sns(self, hosts: int, emits: float = 0) -> float:
        """Return what SNS and SQS cost, at so many emits a second of all hosts together."""
        return self.sns_heartbeats(hosts) + emits * self.sns_emit(hosts)

    def sns_heartbeats(self, hosts: int) -> float:
        """Return what the hosts' heartbeats cost, which each host hears."""
        return hosts / self.deployment.heartbeat * self.sns_emit(hosts)

    def sns_emit(self, hosts: int) -> float:
        """Return what one message a second costs, published once and heard by every host."""
        return self._each_second(self.price("sns-publish") + hosts * self._delivery())

    def valkey(self, hosts: int) -> float:
        """Return what Valkey costs, with any number of emits; functions may emit as well."""
        has = self.deployment
        nodes = has.valkey_nodes * self.price("valkey-node") * _HOURS
        polls = hosts * self._each_second(self.price("sqs-request")) / has.poll
        watching = has.valkey_alarms * self.price("alarm")
        return nodes + polls + watching + has.valkey_secrets * self.price("secret")

    def valkey_function_emit(self) -> float:
        """Return what one message a second of functions costs with Valkey: one host hears it."""
        return self._each_second(self.price("sns-publish") + self._delivery())

    def break_even(self, hosts: int) -> float:
        """Return at how many emits a second SNS and SQS cost as much as Valkey; 0 if at none."""
        left = self.valkey(hosts) - self.sns_heartbeats(hosts)
        return max(0.0, left / self.sns_emit(hosts))

    def _delivery(self) -> float:
        requests = _RECEIVE_AND_DELETE * self.price("sqs-request")
        return self.price("sns-deliver") + requests

    def _each_second(self, a_million: float) -> float:
        return a_million * _SECONDS / _MILLION

    # ---- What is not here ----

    def websockets(self, sockets: int) -> float:
        """Return what API Gateway asks for so many idle sockets."""
        return sockets * _MINUTES / _MILLION * self.price("websocket-minutes")

    def websockets_break_even(self) -> float:
        """Return with how many idle sockets API Gateway costs as much as a small deployment."""
        return (self.without_bus(0) + self.sns(self.deployment.hosts)) / self.websockets(1)

    def stored(self) -> float:
        """Return what a million messages cost to store: two items each, in a transaction."""
        return 2 * 2 * self.price("table-write")

    def web_acl(self) -> float:
        """Return what a web ACL with one rule costs."""
        return self.price("web-acl") + self.price("web-acl-rule")

    def nat_gateway(self) -> float:
        """Return what a NAT gateway costs, without its traffic."""
        return self.price("nat-gateway") * _HOURS

    def endpoints(self, services: int) -> float:
        """Return what interface endpoints for so many services cost in one zone."""
        return services * self.price("endpoint") * _HOURS
