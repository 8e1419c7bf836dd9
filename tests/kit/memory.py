"""Limits on the memory that a piece of code keeps."""

import contextlib
import tracemalloc
from collections.abc import Iterator

MB = 1_000_000


@contextlib.contextmanager
def memory(limit: int) -> Iterator[None]:
    """Fail if the block keeps more bytes than a limit."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        yield
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < limit, f"{(after - before) / MB:.1f} MB"
