"""The terminal that `scripts/dev` runs in: what it says itself and what its children say."""

import sys


def say(sentence: str) -> None:
    """Tell the developer something. On stderr: the address alone is for stdout."""
    print(sentence, file=sys.stderr, flush=True)


def relay(name: str, line: str) -> None:
    """Show a line that a child has written, marked with the child's name."""
    print(f"{name:>8} | {line}", file=sys.stderr, flush=True)
