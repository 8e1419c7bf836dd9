"""The memory that data takes."""

from __future__ import annotations

import math
import sys
from typing import Any


def size_of(data: Any, most: float = math.inf) -> int:
    """Return roughly how many bytes of memory some data takes; stop counting beyond `most`.

    Looks into dictionaries, lists, tuples and sets.
    """
    size = 0
    waiting = [data]
    while waiting and size <= most:
        thing = waiting.pop()
        size += sys.getsizeof(thing) + 8
        if isinstance(thing, dict):
            waiting += thing.keys()
            waiting += thing.values()
        elif isinstance(thing, (list, tuple, set, frozenset)):
            waiting += thing
    return size
