"""What a deployment is charged for, according to infra/template.yaml and the host's code.

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
    """The quantities that do not depend on the number of hosts."""

    vcpu: float  # of a host
    memory: float  # of a host, in GB
    snapshot: float  # of the function, in GB
    hosts: int  # the minimum
    clients: int  # per host, autoscaling's target
    secrets: int
    valkey_secrets: int  # additional, if the bus is Valkey
    valkey_nodes: int
    alarms: int  # metrics of alarms, including those of autoscaling
    valkey_alarms: int  # additional, if the bus is Valkey
    metrics: int  # custom ones
    dashboards: int
    heartbeat: float  # seconds between a host's heartbeats
    poll: float  # seconds of a request to an empty queue

    @classmethod
    def read(cls, template: Path) -> Self:
        """Return the quantities in a template, without your parts of it."""
        text = load(with_parts(template.read_text(encoding="utf-8"), {}))
        resources = text["Resources"]
        task = resources["HostTask"]["Properties"]
        secrets = _of(resources, "AWS::SecretsManager::Secret")
        policies = [p["Properties"] for p in _of(resources, _POLICY)]
        scaling = [p["TargetTrackingScalingPolicyConfiguration"] for p in policies]
        alarms = _of(resources, "AWS::CloudWatch::Alarm")
        return cls(
            vcpu=int(task["Cpu"]) / _GIGABYTE,
            memory=int(task["Memory"]) / _GIGABYTE,
            snapshot=resources["Pages"]["Properties"]["MemorySize"] / _GIGABYTE,
            hosts=text["Parameters"]["MinHosts"]["Default"],
            clients=next(int(s["TargetValue"]) for s in scaling if _CUSTOM in s),
            secrets=sum("Condition" not in secret for secret in secrets),
            valkey_secrets=sum("Condition" in secret for secret in secrets),
            valkey_nodes=resources["BusServer"]["Properties"]["NumCacheClusters"],
            # Autoscaling creates two for each policy: one to scale out, one to scale in.
            alarms=sum(_metrics(a["Properties"]) for a in alarms if "Condition" not in a)
            + 2 * sum(_metrics(s.get(_CUSTOM, {})) for s in scaling),
            valkey_alarms=sum(_metrics(a["Properties"]) for a in alarms if "Condition" in a),
            metrics=1,  # the number of clients; the others have values only when something is wrong
            dashboards=len(_of(resources, "AWS::CloudWatch::Dashboard")),
            heartbeat=HEARTBEAT,
            poll=POLL_SECONDS,
        )


_POLICY = "AWS::ApplicationAutoScaling::ScalingPolicy"
_CUSTOM = "CustomizedMetricSpecification"


def _of(resources: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [resource for resource in resources.values() if resource["Type"] == kind]


def _metrics(properties: dict[str, Any]) -> int:
    """Return the number of metrics of an alarm with these properties."""
    found = [m for m in properties.get("Metrics", []) if "MetricStat" in m]
    return len(found) or 1
