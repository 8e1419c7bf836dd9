"""Measures how long the function's imports take, by package."""

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping

from scripts import ROOT

_LINE = re.compile(r"import time:\s+(\d+) \|\s+\d+ \|\s+([\w.]+)")


def measure(module: str, environ: Mapping[str, str]) -> dict[str, float]:
    """Return the milliseconds of importing a module, by package, slowest first.

    Measuring makes each import slower, so the sum is larger than in a cold start.
    """
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", f"import {module}"],
        cwd=ROOT,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=True,
    )
    return parse(done.stderr)


def parse(report: str) -> dict[str, float]:
    """Return milliseconds by package from the output of `python -X importtime`."""
    packages: Counter[str] = Counter()
    for microseconds, name in _LINE.findall(report):
        packages[name.partition(".")[0]] += int(microseconds)
    return {name: total / 1e3 for name, total in packages.most_common()}
