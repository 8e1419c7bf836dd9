"""The host's metrics, once a minute: its number of clients, and whether the bus is degraded.

They are a line on stdout in CloudWatch's embedded metric format, which CloudWatch extracts from the
log. Autoscaling, alarms and the dashboard in infra/template.yaml use them.
"""

import asyncio
import contextlib
import json
import re
import time
from collections.abc import Callable

CLIENTS = "Clients"
BUS_DEGRADED = "BusDegraded"
DIMENSION = ("Service", "socket-host")  # its name and its value

_MINUTE = 60  # seconds: CloudWatch's period

_NAMESPACE = re.compile(r"(?!AWS/)[A-Za-z0-9._/#: -]{1,255}")


def parse_namespace(text: str) -> str:
    """Return a namespace of metrics; raise ValueError if CloudWatch would refuse it."""
    if not _NAMESPACE.fullmatch(text):
        raise ValueError(
            "must be a CloudWatch namespace, of at most 255 letters, digits and ._/#:- and not "
            f"beginning with AWS/, not {text!r}"
        )
    return text


def embedded_metrics(
    namespace: str, clients: int, moment: float, *, bus_degraded: bool = False
) -> str:
    """Return the line with the metrics at a moment, in seconds since 1970.

    A bus that works has no value, because a metric is charged for the hours in which it has any.
    """
    dimension, value = DIMENSION
    values = {CLIENTS: clients, **({BUS_DEGRADED: 1} if bus_degraded else {})}
    metrics = {
        "Namespace": namespace,
        "Dimensions": [[dimension]],
        "Metrics": [{"Name": name, "Unit": "Count"} for name in values],
    }
    about = {"Timestamp": int(moment * 1_000), "CloudWatchMetrics": [metrics]}
    return json.dumps({"_aws": about, dimension: value, **values})


def next_moment(now: float, last: float) -> float:
    """Return when to write next after `last`; all times are in seconds since 1970.

    It is the middle of a minute. So each of CloudWatch's minutes has one value from each host, even
    if one is a little late, and their average is the number of clients per host.
    """
    moment = (now + _MINUTE / 2) // _MINUTE * _MINUTE + _MINUTE / 2
    # A timer may fire a little early, still in the minute of the last value.
    return moment + _MINUTE if abs(moment - last) < _MINUTE / 2 else moment


async def keep_writing(
    namespace: str, count: Callable[[], int], bus_degraded: Callable[[], bool]
) -> None:
    """Write the metrics every minute, also while there are no clients, until cancelled."""
    moment = 0.0
    while True:
        moment = next_moment(time.time(), moment)
        await asyncio.sleep(moment - time.time())
        with contextlib.suppress(OSError):  # stdout cannot be written now; try again in a minute
            line = embedded_metrics(namespace, count(), moment, bus_degraded=bus_degraded())
            print(line, flush=True)
