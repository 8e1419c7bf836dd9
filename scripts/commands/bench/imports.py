"""What the function imports before its first page, and what that takes."""

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping

from scripts import ROOT

_LINE = re.compile(r"import time:\s+(\d+) \|\s+\d+ \|\s+([\w.]+)")


def measure(module: str, environ: Mapping[str, str]) -> dict[str, float]:
    """Return milliseconds by package for all that importing a module imports, slowest first.

    Python's own measuring makes each import slower; the sum is more than a cold start's share.
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
    """Return milliseconds by package out of what `python -X importtime` writes."""
    packages: Counter[str] = Counter()
    for microseconds, name in _LINE.findall(report):
        packages[name.partition(".")[0]] += int(microseconds)
    return {name: total / 1e3 for name, total in packages.most_common()}
