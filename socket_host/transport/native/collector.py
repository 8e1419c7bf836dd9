"""Python's garbage collector, told what kind of process this is."""

import gc
from functools import cache

# Objects made since the last collection that set off a small one, and how many of those set off
# a larger one. Our connections leave no cycles behind (tests see to that; asyncio's own transports
# do, uvloop's do not), so looking at those of ten thousand idle clients again and again finds
# nothing: it used to cost more than all else.
_THRESHOLDS = (20_000, 20, 100)


@cache
def tune() -> None:
    """Set all that exists apart, and collect rarely; once per process."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
