"""A plan that measures everything with a few clients."""

import dataclasses

from scripts.commands.bench.plan import QUICK

TINY = dataclasses.replace(
    QUICK,
    rounds=1,
    warm_up=0.02,
    seconds=0.04,
    sizes=(3, 5),
    burst_size=5,
    pace=500,
    connections=10,
    crowd=12,
    churn=0,
    settle=0.01,
    turns=1,
    audiences=((2, 200), (3, 100)),
)
