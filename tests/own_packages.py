"""Your packages in pyproject.toml: its last lines, after the mark."""

import json
from collections.abc import Sequence

_MARK = "\n# --- Yours ---\n"


def with_packages(pyproject: str, packages: Sequence[str]) -> str:
    """Return the text of a pyproject.toml that has these packages of yours, and no others."""
    ours, mark, _ = pyproject.partition(_MARK)
    assert mark
    return f"{ours}{mark}app = {json.dumps(packages)}\n"
