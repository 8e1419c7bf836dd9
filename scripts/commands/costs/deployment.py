"""What infra/template.yaml and the host's code say that has to be paid for.

Your parts of the template do not count, so that the documents stay as they are in your project.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from scripts.commands.dev.template import load
from scripts.yours import with_parts
from socket_host.bus.peers import HEARTBEAT
from socket_host.bus.sqs import POLL_SECONDS

_GIGABYTE = 1_024  # megabytes


@dataclass(frozen=True)
class Deployment:
    """What there is of each, whatever the number of hosts."""

    vcpu: float  # of a host
    memory: float  # of a host, in GB
    snapshot: float  # of the function, in GB
    hosts: int  # at the least
    clients: int  # that autoscaling gives a host
    secrets: int
    valkey_secrets: int  # besides, where the bus is Valkey
    valkey_nodes: int
    alarms: int  # metrics that alarms look at, those of autoscaling included
    metrics: int  # of our own
    dashboards: int
    heartbeat: float  # seconds between two of a host
    poll: float  # seconds that a request to a queue without messages takes

    @classmethod
    def read(cls, template: Path) -> Self:
        """Return what a template describes outside of the parts that are yours."""
        text = load(with_parts(template.read_text(encoding="utf-8"), {}))
        resources = text["Resources"]
        task = resources["HostTask"]["Properties"]
        secrets = _of(resources, "AWS::SecretsManager::Secret")
        policies = [p["Properties"] for p in _of(resources, _POLICY)]
        scaling = [p["TargetTrackingScalingPolicyConfiguration"] for p in policies]
        alarms = [a["Properties"] for a in _of(resources, "AWS::CloudWatch::Alarm")]
        return cls(
            vcpu=int(task["Cpu"]) / _GIGABYTE,
            memory=int(task["Memory"]) / _GIGABYTE,
            snapshot=resources["Pages"]["Properties"]["MemorySize"] / _GIGABYTE,
            hosts=text["Parameters"]["MinHosts"]["Default"],
            clients=next(int(s["TargetValue"]) for s in scaling if _CUSTOM in s),
            secrets=sum("Condition" not in secret for secret in secrets),
            valkey_secrets=sum("Condition" in secret for secret in secrets),
            valkey_nodes=resources["BusServer"]["Properties"]["NumCacheClusters"],
            # Autoscaling makes two of each policy: one to scale out, one to scale in.
            alarms=sum(map(_metrics, alarms))
            + 2 * sum(_metrics(s.get(_CUSTOM, {})) for s in scaling),
            metrics=1,  # the client metric; that of dropped messages has values only when it has
            dashboards=len(_of(resources, "AWS::CloudWatch::Dashboard")),
            heartbeat=HEARTBEAT,
            poll=POLL_SECONDS,
        )


_POLICY = "AWS::ApplicationAutoScaling::ScalingPolicy"
_CUSTOM = "CustomizedMetricSpecification"


def _of(resources: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [resource for resource in resources.values() if resource["Type"] == kind]


def _metrics(properties: dict[str, Any]) -> int:
    """Return how many metrics an alarm looks at, by the properties that say which."""
    found = [m for m in properties.get("Metrics", []) if "MetricStat" in m]
    return len(found) or 1
