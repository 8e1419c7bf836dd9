"""The terminal that `scripts/dev` runs in: what it says itself and what its children say."""

import sys
from contextlib import suppress


def say(sentence: str) -> None:
    """Tell the developer something. On stderr: the address alone is for stdout."""
    with suppress(OSError, ValueError):  # a terminal that has gone is no reason to stop
        print(sentence, file=sys.stderr, flush=True)


def relay(name: str, line: str) -> None:
    """Show a line that a child has written, marked with the child's name."""
    say(f"{name:>8} | {line}")
