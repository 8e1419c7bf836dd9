"""Settings of Python's garbage collector for a process with many idle connections."""

import gc
from functools import cache

# As for `gc.set_threshold`. Closed connections leave no reference cycles behind, which tests check,
# so frequent collections would only traverse the objects of all idle clients, and find nothing.
_THRESHOLDS = (20_000, 20, 100)


@cache
def tune() -> None:
    """Exempt all existing objects from collection, and collect rarely; once per process."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
